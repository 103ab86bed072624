"""Stand-in for obstore in the frozen runner, which saves thirteen megabytes.

Daytona's client always imports obstore, but uses it only to upload a build context when it builds an image. A runner on
a user's machine starts sandboxes from existing snapshots.
"""

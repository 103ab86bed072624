"""Stands in for obstore in the frozen runner: thirteen megabytes that only the upload of a build context would use.

Daytona imports it at the top of its client, and needs it to send a machine's own files to Daytona when it has an image
built there. A runner on a user's machine starts sandboxes from snapshots that exist.
"""

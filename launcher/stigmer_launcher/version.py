"""The version this launcher answers with.

The freeze stage writes this module anew from the manifest; what stands here is what an unfrozen checkout answers.
"""

NAME = "stigmer"
VERSION = "0.0.0+checkout"

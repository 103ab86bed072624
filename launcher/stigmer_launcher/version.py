"""Name and version of this launcher.

The freeze stage overwrites this module with the manifest's version; these are the values of a checkout.
"""

NAME = "stigmer"
VERSION = "0.0.0+checkout"

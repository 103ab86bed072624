"""Works where it is installed, for python-multipart looks on disk for the module it shadows; breaks when frozen."""

import sys

from multipart import MultipartSegment

if __name__ == "__main__":
    sys.stdout.write(f"{MultipartSegment.__name__}\n")

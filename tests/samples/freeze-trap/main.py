"""Works when installed, as python-multipart searches the disk for the module that it shadows; breaks when frozen."""

import sys

from multipart import MultipartSegment

if __name__ == "__main__":
    sys.stdout.write(f"{MultipartSegment.__name__}\n")

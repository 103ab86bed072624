"""A service not written for this pipeline: its spec file builds one file, and two of its libraries share a module."""

import importlib
import os
import signal
import socket
import sys
from pathlib import Path

import python_multipart
from multipart import MultipartSegment
from words import GREETING


def main() -> int:
    """Connect and wait for SIGTERM; return the exit code."""
    word = importlib.import_module("words.by_name").WORD
    text = (Path(__file__).parent / "texts" / "ready.txt").read_text(encoding="utf-8").strip()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    host, _, port = os.environ["TEMPORAL_SERVICE_ADDRESS"].rpartition(":")
    with socket.create_connection((host, int(port))):
        libraries = f"{MultipartSegment.__name__} {python_multipart.MultipartParser.__name__}"
        sys.stderr.write(f"{GREETING}, {word} {libraries}\n{text}\n")
        signal.sigwait({signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A minimal service: it imports a module by name, connects, prints a ready line, and exits with 0 on SIGTERM."""

import importlib
import os
import signal
import socket
import sys

from greeter import GREETING
from python_multipart.multipart import MultipartParser


def main(arguments: list[str]) -> int:
    """Connect and wait for SIGTERM, or run the selftest; return the exit code."""
    word = importlib.import_module("greeter.by_name").WORD
    if arguments == ["--selftest"]:
        sys.stdout.write(f"{GREETING}, {word} {MultipartParser.__name__}\n")
        return 0
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    host, _, port = os.environ["TEMPORAL_SERVICE_ADDRESS"].rpartition(":")
    with socket.create_connection((host, int(port))):
        sys.stderr.write("Worker ready, polling for tasks\n")
        signal.sigwait({signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

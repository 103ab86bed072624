"""Tell a service manager that waits for it that the server is ready. Source: sd_notify(3), `Type=notify`."""

import socket
from collections.abc import Mapping
from contextlib import suppress


def notify_ready(environ: Mapping[str, str]) -> None:
    """Send the message to the socket that the service manager named; do nothing when it named none."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", path)

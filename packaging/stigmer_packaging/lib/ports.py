"""TCP ports of this machine, for programs that are tried out here."""

import socket


def free_port() -> int:
    """Give a port on which nobody listens now; the kernel will not hand it out again for a while."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    """Tell whether somebody takes connections on a port of this machine."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0

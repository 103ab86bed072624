"""A tmpfs in a mount namespace, for tests on machines that permit it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def mount_command(options: str, place: Path, *, then: str = "") -> list[str]:
    """Return a command prefix that runs a program in a new mount namespace with a tmpfs at `place`.

    `then` is a shell command to run first, in the namespace.
    """
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    script = f'mount -t tmpfs -o {options} tmpfs "$0" && {then or "true"} && exec "$@"'
    return [*unshare, "sh", "-c", script, str(place)]


def can_mount() -> bool:
    """Return whether this machine permits us to mount a tmpfs."""
    if not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory() as place:
        command = [*mount_command("size=1m", Path(place)), "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    not can_mount(), reason="this machine does not permit mounting a tmpfs (unshare --mount)"
)

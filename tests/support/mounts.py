"""File systems of a test's own: a tmpfs in a mount namespace, where the machine lets us."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def mount_command(options: str, place: Path, *, then: str = "") -> list[str]:
    """Give the command that runs a program in a mount namespace of its own, with a tmpfs at `place`."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    script = f'mount -t tmpfs -o {options} tmpfs "$0" && {then or "true"} && exec "$@"'
    return [*unshare, "sh", "-c", script, str(place)]


def can_mount() -> bool:
    """Tell whether this machine lets us mount a tmpfs for ourselves."""
    if not shutil.which("unshare"):
        return False
    with tempfile.TemporaryDirectory() as place:
        command = [*mount_command("size=1m", Path(place)), "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    not can_mount(), reason="this machine does not let us mount a tmpfs (unshare --mount)"
)

"""Runs a command in a guest root as an unprivileged user without network, with bubblewrap; root is not needed.

When started by root, no user namespace is created (some systems forbid them), and `setpriv` drops all privileges
inside.
"""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.emulation import NATIVE, Runner
from stigmer_packaging.lib.errors import MissingToolError
from stigmer_packaging.verify.guest import PREFIX, GuestRun, Machine, Trial, run_guest
from stigmer_packaging.verify.guest_root import UID, USER, GuestRoot

_ALONE = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
_USER = ("--unshare-all", "--uid", str(UID), "--gid", str(UID))
_DROP = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


def make_sandbox(root: GuestRoot, runner: Runner = NATIVE) -> Machine:
    """Return a machine that is only a root without Python under this host's kernel: it needs seconds, not minutes."""

    def run(trial: Trial, folder: Path) -> GuestRun:
        """Copy the bottle and the scripts to the guest's /home, and run the script there as the guest's user."""
        prepare_home(trial, folder)
        argv = trial.command(f"/home/{USER}/{trial.task.script.name}", bottle=f"/home/{USER}/{trial.bottle.name}")
        seconds = trial.task.seconds * runner.slowdown
        result = run_in_sandbox(root.path, folder, argv, seconds=seconds, emulator=runner.prefix)
        return result._replace(emulated=bool(runner.prefix))

    return Machine("sandbox", root.name, root.target, root.recipe, run)


def prepare_home(trial: Trial, folder: Path) -> None:
    """Turn a folder into the guest's /home with bottle and scripts, readable for bubblewrap whatever our umask is."""
    own = folder / USER
    own.mkdir()
    for file in (trial.bottle, *trial.task.scripts):
        shutil.copyfile(file, own / file.name)
    for place in (folder, own):
        place.chmod(0o755)


def sandbox_command(root: Path, home: Path, argv: Sequence[str], *, privileged: bool) -> list[str]:
    """Return the command line that runs `argv` in the read-only `root`, with `home` writable as /home.

    All other writable places are a fresh tmpfs. `privileged` means that root runs the command.
    """
    capabilities = (word for name in _CAPABILITIES for word in ("--cap-add", name))
    identity = (*_ALONE, "--cap-drop", "ALL", *capabilities) if privileged else _USER
    environment = {"PATH": f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": f"/home/{USER}", "LANG": "C.UTF-8"}
    mounts = ["--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run"]
    mounts += ["--perms", "1777", "--tmpfs", "/tmp", "--bind", str(home), "/home"]  # noqa: S108 - the guest's, not ours
    settings = [word for name, value in environment.items() for word in ("--setenv", name, value)]
    settings = ["--hostname", "guest", "--clearenv", *settings, "--chdir", f"/home/{USER}"]
    bwrap = ["bwrap", *identity, "--die-with-parent", "--new-session", *mounts, *settings, "--"]
    return [*bwrap, *(_DROP if privileged else ()), *argv]


def run_in_sandbox(
    root: Path, home: Path, argv: Sequence[str], *, seconds: float, emulator: Sequence[str] = ()
) -> GuestRun:
    """Run `argv` in the guest; after `seconds`, all its processes are killed and the exit code is None.

    `home` is changed to belong to the guest's user. With an `emulator` prefix there is only one user, even for root.
    Raise MissingToolError if bubblewrap is missing or may not create namespaces.
    """
    privileged = os.geteuid() == 0 and not emulator
    if privileged:
        _chown_to_guest(home)
    guest_command = partial(sandbox_command, root, home, privileged=privileged)
    probe = command.run([*emulator, *guest_command(["true"])], seconds=60, check=False)
    if probe.code != 0:
        raise MissingToolError(
            f"bubblewrap cannot make a sandbox here: {probe.stderr.strip()}",
            "run as root, or allow unprivileged user namespaces (on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0)",
        )
    return run_guest([*emulator, *guest_command(argv)], seconds=seconds)


def _chown_to_guest(home: Path) -> None:
    os.chown(home, UID, UID)
    for folder, folders, names in os.walk(home):
        for name in (*folders, *names):
            os.chown(Path(folder) / name, UID, UID, follow_symlinks=False)

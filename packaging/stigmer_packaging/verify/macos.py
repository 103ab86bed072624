"""The trial of a bottle on a Mac that has Pythons: a sandbox denies access to them, and to all networks but localhost.

NOT YET RUN ON A MAC: written from what is documented. Sources: sandbox-exec(1); the profiles in Homebrew's sandbox.rb
and in /System/Library/Sandbox/Profiles; the lists of software on GitHub's macOS runners.
"""

from collections.abc import Sequence
from pathlib import Path

from stigmer_packaging.lib import command, digest
from stigmer_packaging.records.model import Check
from stigmer_packaging.verify.guest import GuestRun, Machine, Trial, run_guest

PYTHON = "/usr/bin/python3"
"""Apple's Python, which cannot be removed; used to test that the profile denies Python."""

NETWORK = ("/usr/bin/curl", "--silent", "--head", "--max-time", "10", "https://github.com")

_FOLDERS = (
    "/Library/Frameworks/Python.framework",
    "/Library/Developer",
    "/Applications",
    "/Users/runner/hostedtoolcache/Python",
)
"""Where python.org, Apple and GitHub's runners install Python."""

PS = "/bin/ps"
"""setuid root, so a sandboxed process may run it only with `no-sandbox`."""

_PROGRAMS = r"/(python|pypy|pip|pipx|uv|conda)[0-9.]*$"
_TRIPWIRE = r"/tripwire/[a-z0-9.]+$"
_HOMEBREWS = r"^(/opt/homebrew|/usr/local)/(Cellar|opt)/(python|pypy)(@|/|$)"
_HOMEBREWS_COMMANDS = r"^(/opt/homebrew|/usr/local)/bin/(python|pypy|pip|idle|pydoc)"


def sandbox_profile() -> str:
    """Return the sandbox profile. The last matching rule wins, so exceptions follow the denials they narrow.

    The script's tripwire has Python's names. Servers may listen on the wildcard addresses, which "localhost" does not
    match.
    """
    folders = "\n".join(f'  (subpath "{folder}")' for folder in _FOLDERS)
    return f"""(version 1)
(allow default)
(deny process-exec* (regex #"{_PROGRAMS}"))
(deny file-read* process-exec*
  (literal "{PYTHON}")
{folders}
  (regex #"{_HOMEBREWS}")
  (regex #"{_HOMEBREWS_COMMANDS}"))
(allow process-exec* (regex #"{_TRIPWIRE}"))
(allow process-exec (literal "{PS}") (with no-sandbox))
(deny network*)
(allow network-bind network-inbound (local ip "*:*"))
(allow network* (local ip "localhost:*") (remote ip "localhost:*") (remote unix-socket))
"""


def this_mac(name: str, target: str) -> Machine:
    """Return this Mac as a machine with the given name (`macOS 15`), for bottles of `target`."""
    return Machine("macos", name, target, digest.sha256_of_value(name, sandbox_profile()), _run)


def _run(trial: Trial, folder: Path) -> GuestRun:
    """Check that the profile denies what works without it, then run the script within it, with a home of its own."""
    profile = folder / "profile.sb"
    profile.write_text(sandbox_profile(), encoding="utf-8")
    controls = (
        _control("Python runs without the profile, but not within it", profile, (PYTHON, "-c", "1")),
        _control("the network works without the profile, but not within it", profile, NETWORK),
    )
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return run_guest(mac_command(trial, folder), seconds=trial.task.seconds)._replace(steps=controls)


def mac_command(trial: Trial, folder: Path) -> list[str]:
    """Return the command line of the trial in `folder`.

    The script is not asked to check that there is no Python and no network card: they exist, but are denied.
    """
    argv = trial.command(str(trial.task.script), str(trial.bottle), f"{folder}/prefix", ())
    variables = (f"HOME={folder / 'home'}", f"TMPDIR={folder / 'tmp'}", "PATH=/usr/bin:/bin:/usr/sbin:/sbin")
    return _within(folder / "profile.sb", ["env", "-i", *variables, "LANG=C", *argv])


def _within(profile: Path, argv: Sequence[str]) -> list[str]:
    return ["sandbox-exec", "-f", str(profile), *argv]


def _control(name: str, profile: Path, argv: Sequence[str]) -> Check:
    """Run a program without the profile, where it must succeed, and within it, where it must fail."""
    outside = command.run(argv, seconds=60, check=False)
    inside = command.run(_within(profile, argv), seconds=60, check=False)
    detail = f"{argv[0]}: exit code {outside.code} without, {inside.code} within"
    return Check(name, outside.code == 0 and inside.code != 0, 0.0, detail)

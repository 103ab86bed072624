"""The Python used for freezing: its version and build, and whether PyInstaller can work with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.lib.target import Target, platform_of

MINIMUM = (3, 11)

# The variables that PyInstaller and frozen programs get; never PYTHONPATH and the like.
# MACOSX_DEPLOYMENT_TARGET is set by packaging: build_environment removes the user's value.
_PLAIN = ("PATH", "HOME", "TMPDIR", "MACOSX_DEPLOYMENT_TARGET")

# Looks for the shared library where PyInstaller does: names and directories of the build configuration, and the
# interpreter's own prefix (on Debian the library is in a separate package).
_PROBE = """
import hashlib, json, os, platform, sys, sysconfig
of = sysconfig.get_config_var
names = [of("PYTHONFRAMEWORK") and of("LDLIBRARY"), of("INSTSONAME"), of("LDLIBRARY")]
homes = [of("LIBDIR"), os.path.join(of("LIBDIR") or "", of("MULTIARCH") or ""), of("PYTHONFRAMEWORKPREFIX"),
         os.path.join(sys.base_prefix, "lib")]
paths = [os.path.join(home, name) for home in homes for name in names if home and name and not name.endswith(".a")]
library = next((os.path.realpath(path) for path in paths if os.path.isfile(path)), "")
content = hashlib.sha256(open(library, "rb").read()).hexdigest() if library else ""
base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
print(json.dumps([base, platform.python_version(), sys.version, sys.platform, platform.machine(), library, content]))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can be started.

    `executable` is never one of a virtual environment. `library` is the path of its shared library, or empty if it has
    none. `identity` differs between builds.
    """

    executable: str
    version: str
    target: Target
    library: str
    identity: str


def read_interpreter(executable: str, *, env: Mapping[str, str]) -> Interpreter:
    """Run a Python to find out its version and build; MissingToolError if it is missing or too old."""
    probe = command.run([executable, "-I", "-c", _PROBE], env=plain_environment(env), seconds=120)
    return parse_interpreter(probe.stdout, executable=executable)


def parse_interpreter(text: str, *, executable: str) -> Interpreter:
    """Parse what the probe printed; MissingToolError if the Python is too old."""
    try:
        base, version, build, system, machine, library, content = json.loads(text)
    except ValueError as error:
        raise CommandError([executable], "did not print its version and build", text) from error
    if tuple(map(int, version.split(".")[:2])) < MINIMUM:
        minimum = ".".join(map(str, MINIMUM))
        raise MissingToolError(f"{executable} is Python {version}", f"use Python {minimum} or newer")
    target = platform_of(system, machine)
    identity = digest.sha256_of_value(build, str(target), content)
    return Interpreter(base, version, target, library, identity)


def require_library(interpreter: Interpreter) -> None:
    """Raise MissingToolError with the package to install, unless the interpreter has its shared library."""
    if interpreter.library:
        return
    major_minor = ".".join(interpreter.version.split(".")[:2])
    raise MissingToolError(
        f"{interpreter.executable} has no shared libpython{major_minor}, which frozen programs need",
        f"on Debian and Ubuntu install libpython{major_minor}; a self-built Python needs --enable-shared",
    )


def plain_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that do not change results, with a fixed locale."""
    return {name: env[name] for name in _PLAIN if name in env} | {"LC_ALL": "C.UTF-8"}

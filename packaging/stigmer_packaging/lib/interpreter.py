"""The Python that freezes: which one it is, what it was built as, and whether PyInstaller can work with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.lib.target import Target, platform_of

MINIMUM = (3, 11)

# What a freeze and a frozen program see of our environment; PYTHONPATH and the like never.
# MACOSX_DEPLOYMENT_TARGET is ours: build_environment keeps the user's out.
_PLAIN = ("PATH", "HOME", "TMPDIR", "MACOSX_DEPLOYMENT_TARGET")

# Where the shared library may be is what PyInstaller itself looks at: the library the configuration names, beside the
# interpreter's own (Debian keeps it apart, in a package of its own).
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

    `executable` is never a virtual environment's. `library` is the path of its shared library, empty when it has none.
    `identity` differs for any other build.
    """

    executable: str
    version: str
    target: Target
    library: str
    identity: str


def read_interpreter(executable: str, *, env: Mapping[str, str]) -> Interpreter:
    """Ask a Python what it is; MissingToolError when it is not there or too old."""
    ask = command.run([executable, "-I", "-c", _PROBE], env=plain_environment(env), seconds=120)
    return parse_interpreter(ask.stdout, executable=executable)


def parse_interpreter(text: str, *, executable: str) -> Interpreter:
    """Read what a Python said about itself; MissingToolError when it is too old."""
    try:
        base, version, build, system, machine, library, content = json.loads(text)
    except ValueError as error:
        raise CommandError([executable], "did not say what it is", text) from error
    if tuple(map(int, version.split(".")[:2])) < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise MissingToolError(f"{executable} is Python {version}", f"give a Python {wanted} or newer")
    target = platform_of(system, machine)
    identity = digest.sha256_of_value(build, str(target), content)
    return Interpreter(base, version, target, library, identity)


def require_library(interpreter: Interpreter) -> None:
    """Raise MissingToolError, naming the package to install, unless the interpreter has its shared library."""
    if interpreter.library:
        return
    major_minor = ".".join(interpreter.version.split(".")[:2])
    raise MissingToolError(
        f"{interpreter.executable} has no shared libpython{major_minor}, which a frozen program is run by",
        f"on Debian and Ubuntu install libpython{major_minor}; a Python built by hand needs --enable-shared",
    )


def plain_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Give the little of an environment that changes no result, in a locale that is the same everywhere."""
    return {name: env[name] for name in _PLAIN if name in env} | {"LC_ALL": "C.UTF-8"}

"""Finds the modules of the standard library that a program does not need, by importing what it imports."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from stigmer_packaging.freeze.pyinstaller import Environment
from stigmer_packaging.lib import command
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.lib.syntax import imported_names

# Excluded although they are imported: the standard library has a fallback for each, and each needs a shared library.
# hashlib computes sha256 without OpenSSL; the program unpacks no archive with shutil.
DISPENSABLE = ("_bz2", "_hashlib", "_lzma", "bz2", "lzma")

# Kept although importing the program does not load them. Python imports them when it prints an exception, when argparse
# wraps its help or copies a default, when something is sorted or counted in part, and from compiled modules: for
# time.strptime, os.wait4 and copying a regular expression. Codecs are named in strings: those without a table of
# characters are small, and one of them (idna) is needed to resolve a host name.
_CODECS = "ascii idna latin_1 punycode raw_unicode_escape unicode_escape utf_16 utf_16_be utf_16_le utf_8_sig"
LATE = (
    "_strptime",
    "copy",
    "heapq",
    "resource",
    "textwrap",
    "traceback",
    *(f"encodings.{codec}" for codec in _CODECS.split()),
)

# Runs in a Python of the frozen version: imports everything, with the dispensable modules blocked, and prints the
# modules that were not loaded, also those inside the packages that were.
_PROBE = """
import json, pkgutil, sys
roots, dispensable = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(dispensable))
for root in roots:
    try:
        __import__(root)
    except ImportError:
        pass
loaded = {name for name, module in sys.modules.items() if module is not None and name != "__main__"}
known = set(sys.stdlib_module_names)
for name in sorted(loaded):
    path = getattr(sys.modules[name], "__path__", None)
    if path and name.split(".")[0] in sys.stdlib_module_names:
        known |= {name + "." + found.name for found in pkgutil.iter_modules(path)}
needed = {".".join(name.split(".")[:end]) for name in loaded for end in range(1, name.count(".") + 2)}
print(json.dumps(sorted((known - needed) | set(dispensable))))
"""


def find_unneeded(
    package: Path, *, foreign: Iterable[str], python: Environment, env: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the modules of the standard library that `package` does not need.

    `foreign` are names of modules of the package that run only on another system; they are ignored.
    """
    own = [path for path in sorted(package.rglob("*.py")) if path.stem not in set(foreign)]
    roots = sorted({name for path in own for name in imported_names(path.read_text(encoding="utf-8"))} | set(LATE))
    answer = command.run(
        python.command("-I", "-S", "-c", _PROBE),
        env=plain_environment(env),
        seconds=120,
        stdin=json.dumps([[name for name in roots if name.split(".")[0] != package.name], DISPENSABLE]),
    )
    return tuple(json.loads(answer.stdout))

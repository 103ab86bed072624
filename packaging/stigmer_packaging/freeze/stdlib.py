"""Which of the standard library a program can do without: worked out by importing what it names, not by a list."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from stigmer_packaging.freeze.pyinstaller import Environment
from stigmer_packaging.lib import command
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.lib.syntax import imported_names

# Left out although they are imported: the standard library imports each of them with a fallback, and each brings a
# shared library along. hashlib computes sha256 without OpenSSL; shutil unpacks nothing here.
DISPENSABLE = ("_bz2", "_hashlib", "_lzma", "bz2", "lzma")

# Kept although no import statement leads to them at start: Python reaches for them when it prints an exception, when
# argparse wraps its help or copies a default, when something is sorted or counted in part, and from compiled modules:
# time.strptime, os.wait4, the copying of a regular expression. Codecs are named in strings; those without a table of
# characters are small, and one of them (idna) is needed to find a host.
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

# In a Python of the target: import everything with the dispensable modules made absent, look at what came, and list
# what else there is, package by package.
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
    """Name the modules of the standard library that no module of `package` leads to, but for `foreign` ones' sake.

    `foreign` are names of modules of the package that run on another system only.
    """
    own = [path for path in sorted(package.rglob("*.py")) if path.stem not in set(foreign)]
    roots = sorted({name for path in own for name in imported_names(path.read_text(encoding="utf-8"))} | set(LATE))
    answer = command.run(
        python.words("-I", "-S", "-c", _PROBE),
        env=plain_environment(env),
        seconds=120,
        stdin=json.dumps([[name for name in roots if name.split(".")[0] != package.name], DISPENSABLE]),
    )
    return tuple(json.loads(answer.stdout))

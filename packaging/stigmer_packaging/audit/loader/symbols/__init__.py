"""Symbols that the libraries of glibc and macOS have, since which version.

The lists beside this module are written by `stigmer_packaging.audit.loader.system_symbols`: one for what a system has on both
architectures, one for each architecture with the rest. A line is a library, a version, and symbols.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from stigmer_packaging.lib.target import Target

Versions = Mapping[str, frozenset[str]]
"""The versions of each symbol of one library."""


@cache
def system_symbols(target: Target) -> Mapping[str, Versions]:
    """Give the symbols of each library of a platform's system for which there is a list."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name in (target.system, str(target)):
        for line in Path(__file__).with_name(f"{name}.txt").read_text(encoding="ascii").splitlines():
            library, version, *symbols = line.split(" ")
            for symbol in symbols:
                found[library][symbol].add(version)
    return {
        library: {name: frozenset(versions) for name, versions in symbols.items()} for library, symbols in found.items()
    }

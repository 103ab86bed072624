"""Modules of a frozen program for another platform, imported by this machine's build of the same Python.

What is compiled for that platform is taken from the same program frozen for this one.
"""

import json
import subprocess
from itertools import groupby
from pathlib import Path

from PyInstaller.archive.readers import CArchiveReader  # type: ignore[import-untyped]
from PyInstaller.loader.pyimod01_archive import PYZ_ITEM_NSPKG, PYZ_ITEM_PKG  # type: ignore[import-untyped]

UNCHECKED = (0b01).to_bytes(4, "little") + bytes(8)
"""Of a bytecode file: nothing compares it with a source. Source: PEP 552."""

RUN_ON_IMPORT = ("__main__", "antigravity", "this")
SECONDS = 120

_IMPORT = """
import importlib, json, sys
failures = {}
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failures[name] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(failures))
"""


def lay_out(program: Path, like: Path, folder: Path) -> list[str]:
    """Write the modules of `program`'s archive below `folder`, with all other files of the program `like` beside them.

    Give their names.
    """
    whole = CArchiveReader(str(program))
    archive, head = whole.open_embedded_archive("PYZ.pyz"), whole.extract("PYZ.pyz")[4:8] + UNCHECKED
    for name, (kind, *_) in archive.toc.items():
        path = folder / name.replace(".", "/")
        if kind == PYZ_ITEM_NSPKG:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path = path / "__init__.pyc" if kind == PYZ_ITEM_PKG else path.with_name(f"{path.name}.pyc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(head + archive.extract(name, raw=True))
    (contents,) = (path for path in like.parent.iterdir() if path.is_dir())
    for file in (path for path in contents.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc", ".zip"}):
        place = folder / file.relative_to(contents)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)
    return sorted(archive.toc)


def find_unimportable(python: Path, folder: Path, names: list[str], home: Path) -> dict[str, str]:
    """Import modules, those of each package in a process of their own, and give the errors of those that fail."""
    failures: dict[str, str] = {}
    chosen = [name for name in names if not name.endswith(RUN_ON_IMPORT)]
    for top, group in groupby(chosen, lambda name: name.partition(".")[0]):
        words: list[str | Path] = [python, "-I", "-c", _IMPORT, folder, *group]
        done = subprocess.run(
            words, env={"HOME": str(home)}, cwd=home, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        if done.returncode:
            failures[top] = f"exit code {done.returncode}: {done.stderr[-200:]}"
        else:
            failures |= json.loads(done.stdout.splitlines()[-1])
    return failures

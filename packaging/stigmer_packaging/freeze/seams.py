"""PyInstaller, run by this machine's CPython as if by another platform's, and looking at that platform's files.

This runs in a process of its own, by the CPython of the very version that is frozen:

    python -m stigmer_packaging.freeze.seams SETTINGS [ARGUMENTS OF PYINSTALLER…]

Each function here replaces one thing of PyInstaller, or of Python before PyInstaller reads it, that would answer for
this machine; `tests/unit/test_freeze_seams.py` holds each against the PyInstaller that is pinned. What PyInstaller's hooks
learn by importing a package, they learn in child processes from the same version's wheel for this machine; a file of it
that they name is replaced by the platform's own. Nothing native is edited in here: stripping, library names and
signatures are the caller's.
"""

import importlib.machinery as bootstrap
import json
import os
import platform
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stigmer_packaging.binaries import codesign, elf_edit, macho_edit

VERSIONS = ("6.22", "6.23")
"""The PyInstaller from which on, and before which, these seams are known to be what they are here."""

Entry = tuple[str, str, str]
_SETTLED = (
    "asyncio", "ctypes.util", "multiprocessing", "selectors", "shutil", "socket", "subprocess", "sysconfig", "tempfile",
    "urllib.parse", "zipfile",
)  # fmt: skip
"""Modules that look at the platform when they are imported: they must see this machine's."""

_OWN_SUFFIX = bootstrap.EXTENSION_SUFFIXES[0]
"""The ending of extension modules for this very Python, such as `.cpython-313-x86_64-linux-gnu.so`. Source: PEP 3149."""

_MAGICS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")


@dataclass(frozen=True)
class Settings:
    """What the process is told: the platform in Python's words, its files, and this machine's files of the same kind.

    `standard_library`, `site` and `prefix` are folders of the platform's Python and distributions, `own_site` and
    `own_prefix` this machine's. `linked` names for each native file the libraries it needs and their paths.
    """

    system: str
    machine: str
    architecture: str
    multiarch: str
    builtins: list[str]
    library: str
    prefix: str
    own_prefix: str
    standard_library: str
    site: str
    own_site: str
    linked: dict[str, list[tuple[str, str | None]]]

    @property
    def darwin(self) -> bool:
        """Whether the platform is a macOS."""
        return self.system == "darwin"

    @property
    def suffixes(self) -> list[str]:
        """The endings of the platform's extension modules."""
        return [f".{sys.implementation.cache_tag}-{self.multiarch}.so", ".abi3.so", ".so"]


class Counterparts:
    """Maps this machine's files to the platform's; those that the platform does not have are remembered."""

    def __init__(self, settings: Settings) -> None:
        """Map the distributions' files and Python's own."""
        self.folders = {settings.own_site: settings.site, settings.own_prefix: settings.prefix}
        self.suffix = settings.suffixes[0]
        self.missing: set[str] = set()

    def find(self, path: str) -> str:
        """Name the platform's file for one of this machine's; any other path comes back as it is."""
        for own, foreign in self.folders.items():
            if path.startswith(f"{own}/") and own != foreign:
                found = foreign + path.removeprefix(own)
                if path.endswith(_OWN_SUFFIX):
                    found = found.removesuffix(_OWN_SUFFIX) + self.suffix
                if not Path(found).exists():
                    self.missing.add(path)
                return found
        return path

    def entries(self, toc: list[Entry]) -> list[Entry]:
        """Name the platform's files in a table of contents."""
        return [(name, self.find(source) if kind != "SYMLINK" else source, kind) for name, source, kind in toc]


# -- what this Python says it is; before PyInstaller is imported


def pretend_platform(settings: Settings) -> None:
    """Have Python name the platform: PyInstaller and its hooks choose by `sys.platform` and `platform`."""
    for name in _SETTLED:
        __import__(name)
    sys.modules["sysconfig"].get_config_vars()
    uname = platform.uname()._replace(machine=settings.machine)
    if settings.darwin:
        uname = platform.uname_result("Darwin", "mac", "23.0.0", "Darwin Kernel", settings.machine)
        proxies = sys.modules["_scproxy"] = types.ModuleType("_scproxy")
        vars(proxies).update(_get_proxies=dict, _get_proxy_settings=dict)
    replaced: dict[str, Callable[..., object]] = {
        "uname": lambda: uname,
        "system": lambda: uname.system,
        "machine": lambda: settings.machine,
        "processor": lambda: {"arm64": "arm", "x86_64": "i386"}[settings.machine] if settings.darwin else "",
        "architecture": lambda *_, **__: ("64bit", ""),
        "mac_ver": lambda *_: ("14.0", ("", "", ""), settings.machine) if settings.darwin else ("", ("", "", ""), ""),
    }
    for name, answer in replaced.items():
        setattr(platform, name, answer)
    sys.platform = settings.system
    vars(sys.implementation)["_multiarch"] = settings.multiarch


def pretend_modules(settings: Settings) -> None:
    """Have the import system know the platform's built-in modules, and its extension modules below its own folders."""
    sys.builtin_module_names = tuple(settings.builtins)
    bootstrap.EXTENSION_SUFFIXES[:] = settings.suffixes
    loaders = (
        (bootstrap.ExtensionFileLoader, settings.suffixes),
        (bootstrap.SourceFileLoader, [".py"]),
        (bootstrap.SourcelessFileLoader, [".pyc"]),
    )
    find = bootstrap.FileFinder.path_hook(*loaders)

    def hook(path: str) -> Any:
        """Find modules as the platform's Python would, below its own folders."""
        if not path.startswith((settings.standard_library, settings.site)):
            raise ImportError(path)
        return find(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


# -- where PyInstaller looks


def run_children_natively() -> None:
    """Start the child processes, in which hooks import packages, by this machine's Python and without `arch`."""
    from PyInstaller import compat  # type: ignore[import-untyped]

    def wrap(arguments: list[str], options: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        return [sys.executable, *arguments], options

    vars(compat)["__wrap_python"] = wrap
    compat.check_requirements = lambda: None  # asks for objdump


def search_platform(settings: Settings, counterparts: Counterparts) -> None:
    """Have the module graph search the platform's folders, with those of legacy namespace packages there."""
    from PyInstaller.lib.modulegraph.modulegraph import ModuleGraph  # type: ignore[import-untyped]

    initialise, scan = ModuleGraph.__init__, ModuleGraph.scan_legacy_namespace_packages
    places = [settings.standard_library, f"{settings.standard_library}/lib-dynload", settings.site]

    def initialise_there(self: Any, path: list[str] | None = None, *rest: Any, **options: Any) -> None:
        initialise(self, places if path is None else path, *rest, **options)

    def scan_there(self: Any) -> None:
        scan(self)
        found = self._legacy_ns_packages
        self._legacy_ns_packages = {name: [counterparts.find(one) for one in paths] for name, paths in found.items()}

    ModuleGraph.__init__, ModuleGraph.scan_legacy_namespace_packages = initialise_there, scan_there


def find_packages_there(counterparts: Counterparts) -> None:
    """Have hooks collect a package's data files and libraries from its folder on the platform."""
    from PyInstaller.utils import hooks  # type: ignore[import-untyped]

    find = hooks.get_all_package_paths
    hooks.get_all_package_paths = lambda package: [counterparts.find(path) for path in find(package)]


def name_files_there(counterparts: Counterparts) -> None:
    """Replace this machine's files in what hooks have collected, such as a distribution's metadata."""
    from PyInstaller.building import build_main  # type: ignore[import-untyped]

    normalise = build_main.normalize_toc
    build_main.normalize_toc = lambda toc: normalise(counterparts.entries(toc))


# -- native files


def read_libraries(settings: Settings) -> None:
    """Take from a table which libraries a file needs, in place of ldd and of what is installed here."""
    from PyInstaller.building import build_main
    from PyInstaller.depend import bindepend  # type: ignore[import-untyped]

    def imports(path: str, search_paths: object = None) -> set[tuple[str, str | None]]:
        del search_paths
        return {(name, place) for name, place in settings.linked.get(os.path.normpath(path), ())}

    def nowhere(name: str, search_paths: object = None) -> None:
        """Find no library of this machine for a name in a program's code: on the platform the system has it."""
        del name, search_paths

    bindepend.get_imports = imports
    bindepend.get_python_library_path = lambda: settings.library
    bindepend.resolve_library_path = bindepend.findLibrary = bindepend.findSystemLibrary = nowhere
    bindepend.classify_binary_vs_data = classify
    vars(bindepend)["_get_paths_for_parent_directory_preservation"] = lambda: [Path(settings.site)]
    build_main.scan_code_for_ctypes = lambda _code: []


def classify(path: str) -> str | None:
    """Tell from a file's first bytes whether it is native code of either system, in PyInstaller's words."""
    if not Path(path).is_file():
        return None
    with Path(path).open("rb") as stream:
        return "BINARY" if stream.read(4) in _MAGICS else "DATA"


def write_programs(settings: Settings) -> None:
    """Write programs from the platform's bootloader; edit no native file, so that no tool of this machine is called."""
    from PyInstaller.building import api

    append = api.EXE._append_data_to_exe  # noqa: SLF001 - what is called in place of objcopy where there is none

    def embed(self: Any, program: str, archive: str) -> None:
        """Put the archive into a section of an ELF file, as objcopy would; a Mach-O file has it at the end."""
        if settings.darwin:
            append(self, program, archive)
        else:
            made = elf_edit.strip(Path(program).read_bytes(), {"pydata": Path(archive).read_bytes()})
            Path(program).write_bytes(made)

    api.HOMEPATH = settings.site
    api.is_linux = False  # only here, where it stands for objcopy
    api.EXE._append_data_to_exe = embed  # noqa: SLF001
    api.process_collected_binary = lambda source, *_, **__: source


def edit_machos(settings: Settings) -> None:
    """Stand for lipo and codesign where PyInstaller makes a macOS program of its bootloader."""
    from PyInstaller.utils import osx

    def edit(change: Callable[[bytes], bytes]) -> Callable[..., None]:
        def carry_out(file: str, *_: object, **__: object) -> None:
            Path(file).write_bytes(change(Path(file).read_bytes()))

        return carry_out

    osx.binary_to_target_arch = edit(lambda content: macho_edit.thin(content, settings.architecture))
    osx.remove_signature_from_binary = edit(macho_edit.remove_signature)
    osx.sign_binary = lambda file, *_: edit(lambda content: codesign.sign(content, Path(file).name))(file)


def check_version(version: str) -> None:
    """End the process for a PyInstaller that these seams were not looked at for."""
    oldest, before = (tuple(map(int, text.split("."))) for text in VERSIONS)
    if not oldest <= tuple(map(int, version.split(".")[:2])) < before:
        raise SystemExit(f"PyInstaller {version} is not one of {VERSIONS[0]} <= version < {VERSIONS[1]}")


def main(arguments: list[str]) -> None:
    """Freeze as the settings in the first argument say; the others are PyInstaller's."""
    settings = Settings(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    _leave_packaging()
    sys.path.insert(0, settings.own_site)
    pretend_platform(settings)
    pretend_modules(settings)
    import PyInstaller

    check_version(PyInstaller.__version__)
    counterparts = Counterparts(settings)
    search_platform(settings, counterparts)
    run_children_natively()
    find_packages_there(counterparts)
    name_files_there(counterparts)
    read_libraries(settings)
    write_programs(settings)
    if settings.darwin:
        edit_machos(settings)
    from PyInstaller.__main__ import run  # type: ignore[import-untyped]

    run(arguments[1:])
    if counterparts.missing:
        missing = "\n  ".join(sorted(counterparts.missing))
        raise SystemExit(f"hooks collect files that the platform does not have:\n  {missing}")


def _leave_packaging() -> None:
    """Take this package's folder off the module search path, so that nothing of it can be frozen."""
    os.environ.pop("PYTHONPATH", None)
    own = str(Path(__file__).parents[2])
    sys.path[:] = [path for path in sys.path if path != own]


if __name__ == "__main__":
    main(sys.argv[1:])

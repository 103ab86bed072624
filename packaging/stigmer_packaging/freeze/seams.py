"""Runs PyInstaller on this machine's CPython as if on another platform, with that platform's files.

It runs in a separate process, on a CPython of exactly the version that is frozen:

    python -m stigmer_packaging.freeze.seams SETTINGS [PYINSTALLER ARGUMENTS…]

Each function here replaces one part of PyInstaller, or of Python before PyInstaller reads it, that would otherwise
describe this machine; `tests/unit/test_freeze_seams.py` checks each against the pinned PyInstaller. Hooks that import a
package do so in child processes, from the same version's wheel for this machine; a file of that wheel that they collect
is replaced by the platform's. Of native files, only the programs are edited here: the caller strips and signs the
others and sets their library names.
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
"""The PyInstaller versions that these replacements are known to fit: from the first, below the second."""

Entry = tuple[str, str, str]
_SETTLED = (
    "asyncio", "ctypes.util", "multiprocessing", "selectors", "shutil", "socket", "subprocess", "sysconfig", "tempfile",
    "urllib.parse", "zipfile",
)  # fmt: skip
"""Modules that read the platform at import: imported before it is replaced, because they must see this machine's."""

_OWN_SUFFIX = bootstrap.EXTENSION_SUFFIXES[0]
"""Suffix of extension modules for this Python, such as `.cpython-313-x86_64-linux-gnu.so`. Source: PEP 3149."""

_MAGICS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")


@dataclass(frozen=True)
class Settings:
    """Input of the process: the platform in Python's terms, its files, and this machine's files of the same kind.

    `standard_library`, `site` and `prefix` are folders of the platform's Python and distributions; `own_site` and
    `own_prefix` are this machine's. `linked` lists, for each native file, the libraries it needs and their paths.
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
        """Whether the platform is macOS."""
        return self.system == "darwin"

    @property
    def suffixes(self) -> list[str]:
        """The suffixes of the platform's extension modules."""
        return [f".{sys.implementation.cache_tag}-{self.multiarch}.so", ".abi3.so", ".so"]


class Counterparts:
    """Maps this machine's files to the platform's, and records those that the platform does not have."""

    def __init__(self, settings: Settings) -> None:
        """Initialize the mapping of the distributions' files and of Python's own."""
        self.folders = {settings.own_site: settings.site, settings.own_prefix: settings.prefix}
        self.suffix = settings.suffixes[0]
        self.missing: set[str] = set()

    def find(self, path: str) -> str:
        """Return the platform's file for one of this machine's; return any other path unchanged."""
        for own, foreign in self.folders.items():
            if path.startswith(f"{own}/") and own != foreign:
                counterpart = foreign + path.removeprefix(own)
                if path.endswith(_OWN_SUFFIX):
                    counterpart = counterpart.removesuffix(_OWN_SUFFIX) + self.suffix
                if not Path(counterpart).exists():
                    self.missing.add(path)
                return counterpart
        return path

    def entries(self, toc: list[Entry]) -> list[Entry]:
        """Return a table of contents in which this machine's files are replaced with the platform's."""
        return [(name, self.find(source) if kind != "SYMLINK" else source, kind) for name, source, kind in toc]


# -- the platform that Python reports; replaced before PyInstaller is imported


def pretend_platform(settings: Settings) -> None:
    """Make Python report the platform: PyInstaller and its hooks branch on `sys.platform` and `platform`."""
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
    """Make the import system use the platform's built-in modules, and its extension modules below its own folders."""
    sys.builtin_module_names = tuple(settings.builtins)
    bootstrap.EXTENSION_SUFFIXES[:] = settings.suffixes
    loaders = (
        (bootstrap.ExtensionFileLoader, settings.suffixes),
        (bootstrap.SourceFileLoader, [".py"]),
        (bootstrap.SourcelessFileLoader, [".pyc"]),
    )
    find = bootstrap.FileFinder.path_hook(*loaders)

    def hook(path: str) -> Any:
        """Return a finder that works as in the platform's Python; ImportError outside of its folders."""
        if not path.startswith((settings.standard_library, settings.site)):
            raise ImportError(path)
        return find(path)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


# -- where PyInstaller searches


def run_children_natively() -> None:
    """Run the child processes in which hooks import packages with this machine's Python, without `arch`."""
    from PyInstaller import compat  # type: ignore[import-untyped]

    def wrap(arguments: list[str], options: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
        return [sys.executable, *arguments], options

    vars(compat)["__wrap_python"] = wrap
    compat.check_requirements = lambda: None  # requires objdump


def search_platform(settings: Settings, counterparts: Counterparts) -> None:
    """Make the module graph search the platform's folders, and those of its legacy namespace packages."""
    from PyInstaller.lib.modulegraph.modulegraph import ModuleGraph  # type: ignore[import-untyped]

    initialise, scan = ModuleGraph.__init__, ModuleGraph.scan_legacy_namespace_packages
    search_path = [settings.standard_library, f"{settings.standard_library}/lib-dynload", settings.site]

    def initialise_platform(self: Any, path: list[str] | None = None, *rest: Any, **options: Any) -> None:
        initialise(self, search_path if path is None else path, *rest, **options)

    def scan_platform(self: Any) -> None:
        scan(self)
        found = self._legacy_ns_packages
        self._legacy_ns_packages = {name: [counterparts.find(one) for one in paths] for name, paths in found.items()}

    ModuleGraph.__init__, ModuleGraph.scan_legacy_namespace_packages = initialise_platform, scan_platform


def redirect_package_paths(counterparts: Counterparts) -> None:
    """Make hooks collect a package's data files and libraries from its folder on the platform."""
    from PyInstaller.utils import hooks  # type: ignore[import-untyped]

    find = hooks.get_all_package_paths
    hooks.get_all_package_paths = lambda package: [counterparts.find(path) for path in find(package)]


def redirect_collected_files(counterparts: Counterparts) -> None:
    """Replace this machine's files among those that hooks collected, such as a distribution's metadata."""
    from PyInstaller.building import build_main  # type: ignore[import-untyped]

    normalise = build_main.normalize_toc
    build_main.normalize_toc = lambda toc: normalise(counterparts.entries(toc))


# -- native files


def read_libraries(settings: Settings) -> None:
    """Make PyInstaller look up a file's libraries in a table, instead of using ldd and this machine's libraries."""
    from PyInstaller.building import build_main
    from PyInstaller.depend import bindepend  # type: ignore[import-untyped]

    def get_imports(path: str, search_paths: object = None) -> set[tuple[str, str | None]]:
        del search_paths
        return {(name, library) for name, library in settings.linked.get(os.path.normpath(path), ())}

    def find_none(name: str, search_paths: object = None) -> None:
        """Find no library for a name in a program's code: on the platform, the system provides it."""
        del name, search_paths

    bindepend.get_imports = get_imports
    bindepend.get_python_library_path = lambda: settings.library
    bindepend.resolve_library_path = bindepend.findLibrary = bindepend.findSystemLibrary = find_none
    bindepend.classify_binary_vs_data = classify
    vars(bindepend)["_get_paths_for_parent_directory_preservation"] = lambda: [Path(settings.site)]
    build_main.scan_code_for_ctypes = lambda _code: []


def classify(path: str) -> str | None:
    """Return PyInstaller's type of a file: BINARY for native code of either system, else DATA; None if not a file."""
    if not Path(path).is_file():
        return None
    with Path(path).open("rb") as stream:
        return "BINARY" if stream.read(4) in _MAGICS else "DATA"


def write_programs(settings: Settings) -> None:
    """Write programs from the platform's bootloader; copy other native files unchanged, so that no tool is called."""
    from PyInstaller.building import api

    append = api.EXE._append_data_to_exe  # noqa: SLF001 - PyInstaller's own way without objcopy

    def embed(self: Any, program: str, archive: str) -> None:
        """Put the archive into a section of an ELF file, as objcopy would; append it to a Mach-O file."""
        if settings.darwin:
            append(self, program, archive)
        else:
            content = elf_edit.strip(Path(program).read_bytes(), {"pydata": Path(archive).read_bytes()})
            Path(program).write_bytes(content)

    api.HOMEPATH = settings.site
    api.is_linux = False  # used in that module only to decide whether to run objcopy
    api.EXE._append_data_to_exe = embed  # noqa: SLF001
    api.process_collected_binary = lambda source, *_, **__: source


def edit_machos(settings: Settings) -> None:
    """Replace lipo and codesign where PyInstaller turns its bootloader into a macOS program."""
    from PyInstaller.utils import osx

    def edit(change: Callable[[bytes], bytes]) -> Callable[..., None]:
        def edit_file(file: str, *_: object, **__: object) -> None:
            Path(file).write_bytes(change(Path(file).read_bytes()))

        return edit_file

    osx.binary_to_target_arch = edit(lambda content: macho_edit.thin(content, settings.architecture))
    osx.remove_signature_from_binary = edit(macho_edit.remove_signature)
    osx.sign_binary = lambda file, *_: edit(lambda content: codesign.sign(content, Path(file).name))(file)


def check_version(version: str) -> None:
    """Raise SystemExit for a PyInstaller version outside VERSIONS."""
    oldest, before = (tuple(map(int, text.split("."))) for text in VERSIONS)
    if not oldest <= tuple(map(int, version.split(".")[:2])) < before:
        raise SystemExit(f"PyInstaller {version} is not one of {VERSIONS[0]} <= version < {VERSIONS[1]}")


def main(arguments: list[str]) -> None:
    """Freeze with the settings file named by the first argument; the other arguments are PyInstaller's."""
    settings = Settings(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    _remove_packaging()
    sys.path.insert(0, settings.own_site)
    pretend_platform(settings)
    pretend_modules(settings)
    import PyInstaller

    check_version(PyInstaller.__version__)
    counterparts = Counterparts(settings)
    search_platform(settings, counterparts)
    run_children_natively()
    redirect_package_paths(counterparts)
    redirect_collected_files(counterparts)
    read_libraries(settings)
    write_programs(settings)
    if settings.darwin:
        edit_machos(settings)
    from PyInstaller.__main__ import run  # type: ignore[import-untyped]

    run(arguments[1:])
    if counterparts.missing:
        missing = "\n  ".join(sorted(counterparts.missing))
        raise SystemExit(f"hooks collect files that the platform does not have:\n  {missing}")


def _remove_packaging() -> None:
    """Remove this package's folder from the module search path, so that none of its modules can be frozen."""
    os.environ.pop("PYTHONPATH", None)
    own = str(Path(__file__).parents[2])
    sys.path[:] = [path for path in sys.path if path != own]


if __name__ == "__main__":
    main(sys.argv[1:])

"""Licences of Go modules, read from the sources that were linked, which the checksums in the program identify."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stigmer_packaging.binaries.buildinfo import BuildInfo, GoModule
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import DownloadError
from stigmer_packaging.licensing.licences import (
    Credit,
    determine_licence,
    is_licence_file,
    purl_of,
    read_file,
    read_text,
)

SECONDS = 1800
_RECIPE = 1  # version of the selection of texts in _read_texts: part of the cache key
_NEWER_GO = "requires go >="  # in Go's error for a module that requires a newer version
_UNUSED = {"testdata", "examples", "example", "node_modules"}

Texts = dict[str, list[str]]
"""Licence texts: `own` are those at the top of a module, `inner` those in its subdirectories."""


def credit_go(
    info: BuildInfo,
    *,
    licence: str,
    program: Path,
    cache: Path,
    env: Mapping[str, str],
    report: Callable[[str], None],
) -> tuple[Credit, ...]:
    """Return the credits of Go and of every module of a program; `program` is the Go command that downloads sources.

    A module that was a local directory has the main module's licence: that of its texts, or `licence` if the main
    module was built from a directory as well. Raise DownloadError if a source is unavailable or not the linked one.
    """
    main = () if info.main.version in {"", "(devel)"} else (info.main,)
    paths = {module: _cache_path(cache, module) for module in (*main, *info.modules) if module in main or module.sum}
    if missing := [module for module, path in paths.items() if not path.is_file()]:
        report(f"fetching the licences of {len(missing)} Go modules")
        _fetch(missing, program, cache, env)
    texts = {module: json.loads(path.read_text(encoding="utf-8")) for module, path in paths.items()}
    known = texts.get(info.main, {"own": [], "inner": []})
    declared = () if main else (licence,)
    modules = (
        _credit(module, () if module in texts else declared, texts.get(module, known))
        for module in (*main, *info.modules)
    )
    return (_go(info.go, program), *modules)


def _credit(module: GoModule, declared: tuple[str, ...], texts: Texts) -> Credit:
    purl = purl_of("golang", module.path, module.version)
    return Credit(
        module.path, module.version, determine_licence(declared, texts["own"]), purl, (*texts["own"], *texts["inner"])
    )


def _go(version: str, program: Path) -> Credit:
    """Return the credit of Go's standard library; its licence, at the top of GOROOT, is the same for all versions."""
    texts = read_file(program.resolve().parents[1] / "LICENSE")
    return Credit("go", version, "BSD-3-Clause", purl_of("golang", "stdlib", version), texts)


def _cache_path(cache: Path, module: GoModule) -> Path:
    return cache / "licences" / f"{digest.sha256_of_value(_RECIPE, module.path, module.version, module.sum)}.json"


def _fetch(modules: list[GoModule], program: Path, cache: Path, env: Mapping[str, str]) -> None:
    """Download the modules' sources to a temporary directory and cache their licence texts."""
    destination = cache / "licences"
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination) as folder:
        sources = Path(folder) / "sources"
        found = {(each["Path"], each["Version"]): each for each in _download(modules, program, sources, env)}
        for module in modules:
            source = found.get((module.path, module.version), {})
            _require_linked(module, source)
            part = Path(folder) / "part"
            part.write_text(json.dumps(_read_texts(Path(source["Dir"]))), encoding="utf-8")
            part.replace(_cache_path(cache, module))


def _download(
    modules: list[GoModule], program: Path, sources: Path, env: Mapping[str, str]
) -> Iterator[Mapping[str, Any]]:
    """Download modules to `sources`, from Go's own module cache if possible, and yield Go's description of each."""
    settings = json.loads(command.run([program, "env", "-json", "GOPROXY", "GOMODCACHE"], env=env).stdout)
    fixed = {
        "GOFLAGS": "-modcacherw",
        "GOMODCACHE": str(sources),
        "GOPROXY": f"file://{settings['GOMODCACHE']}/cache/download,{settings['GOPROXY']}",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    names = [f"{module.path}@{module.version}" for module in modules]
    sources.mkdir()
    argv: list[str | Path] = [program, "mod", "download", "-json", *names]
    result = command.run(argv, env={**env, **fixed}, cwd=sources, seconds=SECONDS, check=False)
    decoder, text = json.JSONDecoder(), result.stdout.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()


def _require_linked(module: GoModule, source: Mapping[str, Any]) -> None:
    name = f"{module.path}@{module.version}"
    if not source.get("Dir"):
        error = str(source.get("Error"))
        remedy = "raise toolchain.go in the manifest to that version" if _NEWER_GO in error else DownloadError.remedy
        raise DownloadError(f"cannot download the source of {name} to read its licence: {error}", remedy)
    if module.sum and source["Sum"] != module.sum:
        raise DownloadError(f"{name} was downloaded as {source['Sum']}, but the program was built from {module.sum}")


def _read_texts(folder: Path) -> Texts:
    files = sorted(path for path in folder.rglob("*") if is_licence_file(path.name) and path.is_file())
    used = [path for path in files if not _UNUSED & set(path.relative_to(folder).parts)]
    return {
        "own": [read_text(path.read_bytes()) for path in used if path.parent == folder],
        "inner": [read_text(path.read_bytes()) for path in used if path.parent != folder],
    }

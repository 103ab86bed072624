"""The licences of Go modules, from the very sources that were linked: their checksum is the one in the program."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stigmer_packaging.binaries.buildinfo import BuildInfo, GoModule
from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import DownloadError
from stigmer_packaging.licensing.licences import Credit, conclude, is_licence_file, purl_of, read_file, read_text

SECONDS = 1800
_RECIPE = 1  # counts how texts are chosen, so that those chosen otherwise are not taken from the cache
_NEWER_GO = "requires go >="  # what Go says of a module that asks for a newer one
_UNUSED = {"testdata", "examples", "example", "node_modules"}

Texts = dict[str, list[str]]
"""Licence texts: those at the top of a module, `own`, and those further down, `inner`."""


def credit_go(
    info: BuildInfo,
    *,
    licence: str,
    program: Path,
    cache: Path,
    env: Mapping[str, str],
    report: Callable[[str], None],
) -> tuple[Credit, ...]:
    """Name Go and every module of a program with its licence texts; `program` is the Go command that fetches.

    A module that was a folder beside the main one has the main one's licence: that of its texts, or `licence` where it
    is built from a folder itself. DownloadError when a source is not to be had, or is another one than was linked.
    """
    main = () if info.main.version in {"", "(devel)"} else (info.main,)
    places = {module: _place(cache, module) for module in (*main, *info.modules) if module in main or module.sum}
    if missing := [module for module, place in places.items() if not place.is_file()]:
        report(f"fetching the licences of {len(missing)} Go modules")
        _fetch(missing, program, cache, env)
    texts = {module: json.loads(place.read_text(encoding="utf-8")) for module, place in places.items()}
    known = texts.get(info.main, {"own": [], "inner": []})
    declared = () if main else (licence,)
    modules = (
        _credit(module, () if module in texts else declared, texts.get(module, known))
        for module in (*main, *info.modules)
    )
    return (_go(info.go, program), *modules)


def _credit(module: GoModule, declared: tuple[str, ...], texts: Texts) -> Credit:
    purl = purl_of("golang", module.path, module.version)
    return Credit(module.path, module.version, conclude(declared, texts["own"]), purl, (*texts["own"], *texts["inner"]))


def _go(version: str, program: Path) -> Credit:
    """Name Go's own library, whose licence lies at the top of every Go, and has been the same in all of them."""
    texts = read_file(program.resolve().parents[1] / "LICENSE")
    return Credit("go", version, "BSD-3-Clause", purl_of("golang", "stdlib", version), texts)


def _place(cache: Path, module: GoModule) -> Path:
    return cache / "licences" / f"{digest.sha256_of_value(_RECIPE, module.path, module.version, module.sum)}.json"


def _fetch(modules: list[GoModule], program: Path, cache: Path, env: Mapping[str, str]) -> None:
    """Unpack the modules' sources for a moment and keep their licence texts."""
    place = cache / "licences"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        sources = Path(folder) / "sources"
        found = {(each["Path"], each["Version"]): each for each in _download(modules, program, sources, env)}
        for module in modules:
            source = found.get((module.path, module.version), {})
            _refuse_other(module, source)
            part = Path(folder) / "part"
            part.write_text(json.dumps(_read_texts(Path(source["Dir"]))), encoding="utf-8")
            part.replace(_place(cache, module))


def _download(
    modules: list[GoModule], program: Path, sources: Path, env: Mapping[str, str]
) -> Iterator[Mapping[str, Any]]:
    """Download into a folder of our own, from what Go has already where it can."""
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
    words: list[str | Path] = [program, "mod", "download", "-json", *names]
    done = command.run(words, env={**env, **fixed}, cwd=sources, seconds=SECONDS, check=False)
    decoder, text = json.JSONDecoder(), done.stdout.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()


def _refuse_other(module: GoModule, source: Mapping[str, Any]) -> None:
    name = f"{module.path}@{module.version}"
    if not source.get("Dir"):
        error = str(source.get("Error"))
        remedy = "raise toolchain.go in the manifest to that version" if _NEWER_GO in error else DownloadError.remedy
        raise DownloadError(f"the source of {name}, which its licence is read from, cannot be had: {error}", remedy)
    if module.sum and source["Sum"] != module.sum:
        raise DownloadError(f"{name} comes as {source['Sum']}, and the program was built from {module.sum}")


def _read_texts(folder: Path) -> Texts:
    files = sorted(path for path in folder.rglob("*") if is_licence_file(path.name) and path.is_file())
    used = [path for path in files if not _UNUSED & set(path.relative_to(folder).parts)]
    return {
        "own": [read_text(path.read_bytes()) for path in used if path.parent == folder],
        "inner": [read_text(path.read_bytes()) for path in used if path.parent != folder],
    }

"""Compiles the libraries that CPython is linked with: from lists of files, OpenSSL with its own makefile."""

import re
from pathlib import Path

from stigmer_packaging.freeze.python.build import Build, copy_into, find_files
from stigmer_packaging.freeze.python.recipe import Library


def build_library(build: Build, library: Library) -> None:
    """Compile one library, static unless it has a soname, and install its headers."""
    build.report(f"compiling {library.name}")
    folder = build.source(library.source) / library.folder
    write_config(library, folder)
    objects = compile_files(build, library, folder)
    if library.soname:
        link_shared(build, library, objects)
    else:
        archive = build.dependencies / "lib" / f"{library.name}.a"
        build.run("zig-ar", "rcsD", archive, *objects, cwd=folder)
    headers = [folder / header for header in library.headers]
    copy_into(headers, build.dependencies / "include" / library.include)


def write_config(library: Library, folder: Path) -> None:
    """Write what configure would: the config header, and the files that are generated from templates."""
    if library.config:
        (folder / library.config).write_text(render_config(library), encoding="utf-8")
    for name in library.templates:
        template = (folder / f"{name}.in").read_text(encoding="utf-8")
        (folder / name).write_text(fill_template(template, library.values), encoding="utf-8")


def render_config(library: Library) -> str:
    """Return the text of a library's config header."""
    defines = [f"#define {name} {value}".rstrip() for name, value in sorted(library.defines.items())]
    return "\n".join(defines) + "\n" + library.text


def fill_template(template: str, values: dict[str, str]) -> str:
    """Replace each `@NAME@` with its value; KeyError for a name without one."""
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], template)


def compile_files(build: Build, library: Library, folder: Path) -> list[Path]:
    """Compile a library's files, and return the objects in the order of the files."""
    objects_folder = build.folder / "objects" / library.name
    objects_folder.mkdir(parents=True)
    files = find_files(folder, library.files, library.without)
    objects = [objects_folder / ("-".join(file.with_suffix(".o").parts)) for file in files]
    flags = ("-O3", "-Xclang", "-O3", "-fPIC", *library.flags)
    commands: list[list[str | Path]] = [
        ["zig-cc", *flags, "-c", str(file), "-o", each] for file, each in zip(files, objects, strict=True)
    ]
    build.run_all(commands, cwd=folder)
    return objects


def link_shared(build: Build, library: Library, objects: list[Path]) -> None:
    """Link a shared library, and create the symbolic link that the linker looks for."""
    lib = build.dependencies / "lib"
    words: list[str | Path] = ["zig-cc", "-shared", f"-Wl,-soname,{library.soname}", "-o", lib / library.soname]
    build.run(*words, *objects, cwd=build.folder)
    (lib / f"{library.name}.so").symlink_to(library.soname)


def build_openssl(build: Build) -> None:
    """Build libcrypto and libssl, as shared libraries because two modules use them."""
    build.report("compiling OpenSSL")
    openssl, prefix = build.recipe.openssl, build.recipe.prefix
    folder, lib = build.source(openssl.source), build.dependencies / "lib"
    folders = (f"--prefix={prefix}", "--libdir=lib", f"--openssldir={openssl.certificates}")
    build.run("./Configure", openssl.platform, *folders, *openssl.options, cwd=folder)
    build.run("make", f"-j{build.jobs}", "build_generated", *openssl.libraries, cwd=folder)
    for link, library in openssl.libraries.items():
        copy_into([folder / library], lib)
        (lib / link).symlink_to(library)
    copy_into([folder / "include" / "openssl"], build.dependencies / "include")


def shared_libraries(build: Build) -> list[Path]:
    """Return the shared libraries that CPython needs besides its own, sorted."""
    return sorted(
        path for path in (build.dependencies / "lib").iterdir() if not path.is_symlink() and path.suffix != ".a"
    )


def build_amalgamation(build: Build, folder: Path) -> None:
    """Generate SQLite's amalgamation and its header in `folder`, with programs of this machine."""
    build.report("generating SQLite's amalgamation")
    source = build.source("sqlite")
    build.run("./configure", "--disable-readline", "--disable-tcl", cwd=source)
    build.run("make", "sqlite3.c", "sqlite3.h", "BCC=zig-cc -O1", cwd=source)
    copy_into([source / "sqlite3.c", source / "sqlite3.h"], folder)

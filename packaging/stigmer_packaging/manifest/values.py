"""Rules for single values of the manifest: each takes a text and returns what is wrong with it, or an empty string."""

import contextlib
import re
import shlex
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from stigmer_packaging.lib.target import ARCHITECTURES, SYSTEMS
from stigmer_packaging.manifest.bottle_tags import parse_tag
from stigmer_packaging.manifest.section import Rule, unknown

START_HOOKS = ("collector", "validators")
"""The hooks in freeze/startup."""

_URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")

TARGETS = tuple(f"{system}-{architecture}" for system in SYSTEMS for architecture in ARCHITECTURES)


def matching(pattern: str, expected: str) -> Rule:
    """Return the rule that a text matches a regular expression; `expected` describes it."""
    compiled = re.compile(pattern)
    return lambda text: "" if compiled.fullmatch(text) else f"{text!r} is not {expected}"


def one_of(kind: str, *known: str) -> Rule:
    """Return the rule that a text is one of the known words."""
    return lambda text: "" if text in known else unknown(kind, text, known)


name = matching(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "a name: lowercase letters, digits and single dashes")
variable = matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")
repository = matching(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", "OWNER/REPOSITORY")
method = matching(r"/[A-Za-z_][\w.]*/[A-Za-z_]\w*", "a gRPC method: /PACKAGE.SERVICE/METHOD")
distribution = matching(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "the name of a distribution")
sha256 = matching(r"[0-9a-f]{64}", "a sha256: 64 lowercase hexadecimal digits")
glibc = matching(r"2\.\d+", "a version of glibc, such as '2.31'")
macos = matching(r"\d+\.\d+", "a version of macOS, such as '14.0'")
# Source: the grammar of semver.org, without build metadata, which neither a git tag nor brew's version scan keeps.
version = matching(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?",
    "a semantic version: MAJOR.MINOR.PATCH",
)

start_hook = one_of("start hook", *START_HOOKS)
target = one_of("target", *TARGETS)


def bottle_tag(text: str) -> str:
    """Accept a bottle tag that brew knows."""
    try:
        parse_tag(text)
    except ValueError as error:
        return str(error)
    return ""


def inherited_variable(text: str) -> str:
    """Accept a variable that services may inherit; not one that makes a program load or run other code."""
    injects = re.fullmatch(r"(LD|DYLD)_\w+|PYTHON\w+|BASH_ENV|ENV|GCONV_PATH|OPENSSL_(CONF|MODULES|ENGINES)", text)
    return f"{text} changes which code a program runs: services must not inherit it" if injects else variable(text)


def tap(text: str) -> str:
    """Accept `self`, or the repository of a tap."""
    return "" if text == "self" else repository(text) and f"{text!r} is neither 'self' nor OWNER/REPOSITORY"


def url(text: str) -> str:
    """Accept an https URL in the characters of RFC 3986; http only for this machine."""
    with contextlib.suppress(ValueError):  # an unmatched bracket, or a port that is not a number
        parts = urlsplit(text)
        local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
        if (local or (parts.scheme == "https" and parts.hostname)) and _URI.fullmatch(text) and parts.port != 0:
            return ""
    return f"{text!r} is not an https:// address"


def license_expression(text: str) -> str:
    """Accept an SPDX licence expression, written as SPDX writes it."""
    try:
        canonical = canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return f"{text!r} is not an SPDX licence expression"
    return "" if canonical == text else f"SPDX writes {text!r} as {canonical!r}"


def relative_path(text: str) -> str:
    """Accept a path that stays below the folder it is relative to."""
    path = PurePosixPath(text)
    inside = text and not path.is_absolute() and ".." not in path.parts
    return "" if inside else f"{text!r} is not a relative path without '..'"


def word(text: str) -> str:
    """Accept a text that is not empty."""
    return "" if text.strip() else "must not be empty"


def data(text: str) -> str:
    """Accept SOURCE:FOLDER: the files to add to a bundle (a pattern is allowed) and their destination folder."""
    source, _, folder = text.rpartition(":")
    inside = source and not (relative_path(source) or relative_path(folder))
    return "" if inside else f"{text!r} is not SOURCE:FOLDER, two relative paths without '..'"


def command_line(text: str) -> str:
    """Accept a program and its arguments, quoted as in a shell; other shell syntax is not supported."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        return f"{text!r} is not a command: {error}"
    return "" if words else "a command has at least one word"


def regular_expression(text: str) -> str:
    """Accept a regular expression, as Python's `re` understands it."""
    try:
        re.compile(text)
    except (re.error, OverflowError) as error:
        return f"{text!r} is not a regular expression: {error}"
    return ""


def package(text: str) -> str:
    """Accept a folder of the source tree, as `go build` names it."""
    if not text.startswith("./"):
        return f"{text!r} does not begin with './'"
    return relative_path(text.removeprefix("./"))


def description(text: str) -> str:
    """Accept what brew accepts as a formula's `desc`. Source: Homebrew's FormulaAudit/Desc cop."""
    words = text.split()
    if not words or text != " ".join(words):
        return "a description has no white space at its ends, and only single spaces within"
    if len(text) > 80:
        return f"a description has at most 80 characters, and this one has {len(text)}"
    if words[0].lower() in {"a", "an", "the"}:
        return f"a description does not begin with the article {words[0]!r}"
    if text.endswith(".") and not text.endswith("etc."):
        return "a description does not end with a period"
    return "" if not text[0].islower() else "a description begins with a capital letter"

"""Reads and edits config.yaml. Edits change one value in place, so comments and other values are kept.

A missing file means the defaults; a file that cannot be parsed is an error that names the line.
"""

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.config import yaml_subset
from stigmer_launcher.config.schema import FIRST_FILE, SCHEMA, Value, did_you_mean
from stigmer_launcher.config.yaml_subset import Line
from stigmer_launcher.errors import ConfigError, UsageError
from stigmer_launcher.system import locks
from stigmer_launcher.system.places import Places, explain, prepare_home

_WAIT = 10.0  # seconds for another `config set` to finish
_LARGEST = 1 << 20  # bytes
_HIDDEN = "(set, not shown)"


class Setting(NamedTuple):
    """A value the file holds, and the line it stands on."""

    value: Value
    line: int


class Config(NamedTuple):
    """What the file says; keys it does not hold have their defaults."""

    path: str
    settings: Mapping[str, Setting]

    def text(self, key: str) -> str:
        """Return a text's value."""
        return str(self.value(key))

    def value(self, key: str) -> Value:
        """Return the value in the file, else the default."""
        return self.settings[key].value if key in self.settings else SCHEMA[key].default

    def plain(self, key: str) -> str:
        """Return what the file says as the file would write it, empty where it says nothing."""
        return _plain(self.settings[key].value) if key in self.settings else ""

    def has(self, key: str) -> bool:
        """Return whether the file itself says it."""
        return key in self.settings

    def where(self, key: str) -> str:
        """Return where a key stands, for an error message."""
        return f"{self.path}, line {self.settings[key].line}" if key in self.settings else self.path


class Row(NamedTuple):
    """One line of `config list`; `origin` is `file`, `default`, or the variable that decided."""

    key: str
    value: str
    origin: str


def read_config(path: str) -> Config:
    """Read the file; ConfigError lists every problem with its line."""
    return _read_settings(path, _parse(path, _read(path)))


def require_known(key: str) -> str:
    """Return the key; UsageError when there is none of this name."""
    if key not in SCHEMA:
        raise UsageError(f"there is no key {key}{did_you_mean(key)}", "run `stigmer config list` for all keys")
    return key


def list_values(config: Config) -> tuple[Row, ...]:
    """List every key with the file's value or the default; secrets are only said to be set."""
    return tuple(_row(config, key) for key in SCHEMA)


def set_value(places: Places, key: str, value: str) -> None:
    """Write one value, leaving the rest of the file as it is. UsageError for an unknown key or a bad value.

    Secrets are refused: the command line is read by every process of the machine, and kept in the shell's history.
    """
    require_known(key)
    if SCHEMA[key].secret:
        raise UsageError(
            f"{key} is a secret and must not stand on a command line",
            "set ANTHROPIC_API_KEY, OPENAI_API_KEY or STIGMER_LLM_API_KEY in the environment",
        )
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        raise UsageError(f"invalid value {value!r} for {key}: expected UTF-8 text") from None
    try:
        known = SCHEMA[key].read(value) if value else value
    except ValueError as error:
        raise UsageError(
            f"invalid value {value!r} for {key}: expected {error}", f"run `stigmer config get {key}`"
        ) from None
    rendered = yaml_subset.render(known) if isinstance(known, str) else _plain(known)
    with _locked(places):
        text = _read(places.config) or FIRST_FILE
        lines = _parse(places.config, text)
        _read_settings(places.config, lines)
        _write(places.config, _edited(places.config, text, lines, key, rendered))


def unset_value(places: Places, key: str) -> bool:
    """Remove a key from the file, leaving the rest as it is; False when it was not there. UsageError for an unknown key."""
    text = _read(places.config)
    if not any(line.path == key for line in _parse(places.config, text)):
        require_known(key)
        return False
    with _locked(places):
        text = _read(places.config)
        _write(places.config, yaml_subset.remove(text, _parse(places.config, text), key))
    return True


def write_first(places: Places) -> bool:
    """Write the file with its explanation if there is none; False when there is one."""
    if os.path.lexists(places.config):
        return False
    with _locked(places):
        if os.path.lexists(places.config):
            return False
        _write(places.config, FIRST_FILE)
    return True


def unused(config: Config) -> tuple[str, ...]:
    """Say of every value in the file that it has no effect, and what to do instead."""
    said = ((key, SCHEMA[key].unused) for key in config.settings if SCHEMA[key].unused)
    return tuple(f"{config.where(key)}: {key} has no effect: {why}" for key, why in said)


def _read_settings(path: str, lines: tuple[Line, ...]) -> Config:
    maps = {line.path.rpartition(".")[0] for line in lines}
    problems: list[str] = []
    settings: dict[str, Setting] = {}
    for line in lines:
        if problem := _problem(line, maps):
            problems.append(f"{path}, line {line.number}: {problem}")
        elif line.path in SCHEMA and not line.is_empty and line.value:
            settings[line.path] = Setting(SCHEMA[line.path].read(line.value), line.number)
    if problems:
        raise ConfigError("\n".join(problems))
    return Config(path, settings)


def _problem(line: Line, maps: set[str]) -> str:
    if any(line.path.startswith(f"{known}.") for known in SCHEMA):
        return ""  # said once, of the key above that should have been a value
    if line.path in SCHEMA:
        return _problem_of_value(line, maps)
    if any(known.startswith(f"{line.path}.") for known in SCHEMA):
        return "" if line.is_empty or line.is_empty_map else f"{line.path} holds other keys, not a value"
    return f"there is no key {line.path}{did_you_mean(line.path)}"


def _problem_of_value(line: Line, maps: set[str]) -> str:
    if line.path in maps or line.is_empty_map:
        return f"{line.path} is a map, as an old cloud configuration wrote it; put its name here as a plain text"
    try:
        if line.value and not line.is_empty:
            SCHEMA[line.path].read(line.value)
    except ValueError as error:
        return f"invalid value {line.value!r} for {line.path}: expected {error}"
    return ""


def _row(config: Config, key: str) -> Row:
    value = _plain(config.value(key))
    return Row(key, _HIDDEN if value and SCHEMA[key].secret else value, "file" if config.has(key) else "default")


def hidden_row(key: str, origin: str) -> Row:
    """Return the row of a secret that is set."""
    return Row(key, _HIDDEN, origin)


def _plain(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(path: str, text: str) -> tuple[Line, ...]:
    try:
        return yaml_subset.parse(text)
    except yaml_subset.SubsetError as error:
        raise ConfigError(f"{path}, line {error.number}: {error}") from error


def _edited(path: str, text: str, lines: tuple[Line, ...], key: str, value: str) -> str:
    line = next((each for each in lines if each.path == key), None)
    try:
        edited = yaml_subset.replace(text, line, value) if line else yaml_subset.insert(text, lines, key, value)
    except yaml_subset.SubsetError as error:
        raise ConfigError(f"{path}, line {error.number}: {error}") from error
    _read_settings(path, _parse(path, edited))  # what we write, we can read
    return edited


# Some editors begin a UTF-8 file with one; the codec that skips it is not frozen into the launcher.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _read(path: str) -> str:
    try:
        _require_text_file(path, os.stat(path))
        with open(path, "rb") as stream:
            content = stream.read(_LARGEST)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "make that file readable for you") from error
    try:
        return content.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {number}: this is not UTF-8 text") from error


def _require_text_file(path: str, status: os.stat_result) -> None:
    """Raise ConfigError for what would never end, or be too much to read: a pipe, a device, a huge file."""
    import shlex

    aside = f"move it away: `{shlex.join(('mv', path, f'{path}.aside'))}`"
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is not a regular file", aside)
    if status.st_size > _LARGEST:
        raise ConfigError(f"{path} has {status.st_size >> 20} MB and is no configuration", aside)


def _write(path: str, text: str) -> None:
    """Replace the file by a rename, readable by its owner alone; a link (of a dotfiles collection) stays a link."""
    target = os.path.realpath(path)
    trial = f"{target}.new"
    try:
        descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="") as stream:
            os.fchmod(descriptor, 0o600)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        os.rename(trial, target)
    except OSError as error:
        raise explain(error, os.path.dirname(target)) from error


def _locked(places: Places) -> locks.Lock:
    prepare_home(places.home, places.run)
    return locks.wait(os.path.join(places.run, "config.lock"), _WAIT)

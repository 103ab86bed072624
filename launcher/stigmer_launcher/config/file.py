"""Reads and edits config.yaml. An edit changes one value in place and keeps comments and other values."""

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from stigmer_launcher.config import schema, yaml_subset
from stigmer_launcher.config.schema import ADDRESS, FORMER_KEYS, MANAGED, SCHEMA, TEMPLATE
from stigmer_launcher.errors import ConfigError, UsageError, suggestion
from stigmer_launcher.system import locks
from stigmer_launcher.system.places import Places, explain, prepare_home, unwritable

_WAIT = 10.0  # seconds for another `config set` to finish
_LARGEST = 1 << 20  # bytes


class Setting(NamedTuple):
    """A value in the file, and the number of its line."""

    value: str
    line: int


class Config(NamedTuple):
    """The settings in the file; keys that are not in it have their defaults."""

    path: str
    settings: Mapping[str, Setting]

    def find(self, key: str) -> Setting | None:
        """Return the setting in the file, by today's key or that of earlier versions; None when it has neither."""
        return self.settings.get(key) or self.settings.get(FORMER_KEYS.get(key, ""))

    def text(self, key: str) -> str:
        """Return the value in the file, else the default."""
        setting = self.find(key)
        return setting.value if setting else SCHEMA[key].default

    def where(self, key: str) -> str:
        """Return path and line of a key, for an error message."""
        setting = self.find(key)
        return f"{self.path}, line {setting.line}" if setting else self.path


def read_config(path: str) -> Config:
    """Read the file; ConfigError lists every problem with its line."""
    return _parse(path, _read(path))


def require_known(key: str) -> str:
    """Return the key; UsageError when it does not exist."""
    if key not in SCHEMA:
        raise UsageError(f"there is no key {key}{suggestion(key, SCHEMA)}", "run `stigmer config list` for all keys")
    return key


def set_value(places: Places, key: str, value: str) -> tuple[str, ...]:
    """Write one value, leaving the rest of the file as it is; return `unused`. UsageError for an unknown key or a bad value."""
    if SCHEMA[require_known(key)].secret:  # every process can read the command line, and the shell's history keeps it
        remedy = "set ANTHROPIC_API_KEY, OPENAI_API_KEY or STIGMER_LLM_API_KEY in the environment, or run `stigmer config edit`"
        raise UsageError(f"{key} is a secret and must not be given on a command line", remedy)
    try:
        normal = SCHEMA[key].read(schema.read_text(value, key), key) if value else value
    except ConfigError as error:
        raise UsageError(str(error), f"run `stigmer config get {key}`") from None
    scalar = normal if SCHEMA[key].read is schema.read_flag else yaml_subset.render(normal)
    with _editing(places):
        text = _read(places.config) or TEMPLATE
        _parse(places.config, text)
        edited = yaml_subset.assign(text, key, scalar)
        config = _parse(places.config, edited)  # never write a file that cannot be read
        _write(places.config, edited)
    return unused(config, key) if value else ()


def unset_value(places: Places, key: str) -> bool:
    """Remove a key from the file, leaving the rest as it is; False when it was not there. UsageError for an unknown key."""
    with _naming_the_line(places.config):
        if key not in yaml_subset.parse(_read(places.config)) or any(known.startswith(f"{key}.") for known in SCHEMA):
            require_known(key)
            return False
    with _editing(places):
        _write(places.config, yaml_subset.remove(_read(places.config), key))
    return True


def create_config(places: Places) -> bool:
    """Write the template if there is no file; False when there is one."""
    with _editing(places):
        if os.path.lexists(places.config):
            return False
        _write(places.config, TEMPLATE)
        return True


def unused(config: Config, *keys: str) -> tuple[str, ...]:
    """Return a message for each value in the file, or each of these, that has no effect: where it is, and what to do."""
    managed = config.find(MANAGED)
    other = f"run `stigmer config set {MANAGED} false`" if managed and managed.value == "true" else ""
    reasons = {key: other if key == ADDRESS else SCHEMA[key].unused for key in keys or config.settings}
    return tuple(f"{config.where(key)}: {key} has no effect: {why}" for key, why in reasons.items() if why)


def _parse(path: str, text: str) -> Config:
    with _naming_the_line(path):
        lines = yaml_subset.parse(text)
    maps = {key.rpartition(".")[0] for key in lines}
    problems: list[str] = []
    settings: dict[str, Setting] = {}
    for key, line in lines.items():
        try:
            if value := _value(line, maps):
                settings[key] = Setting(value, line.number)
        except ConfigError as problem:
            problems.append(f"{path}, line {line.number}: {problem}")
    if problems:
        raise ConfigError("\n".join(problems))
    return Config(path, settings)


def _value(line: yaml_subset.Line, maps: set[str]) -> str:
    """Return the value of a line, empty when it has none; ConfigError says what is wrong."""
    key, scalar = line.path, line.scalar
    if any(key.startswith(f"{known}.") for known in SCHEMA):
        return ""  # the key above, which should have a value, is reported instead
    if key not in SCHEMA:
        if not any(known.startswith(f"{key}.") for known in SCHEMA):
            raise ConfigError(f"there is no key {key}{suggestion(key, SCHEMA)}")
        if scalar not in (*yaml_subset.EMPTY, yaml_subset.EMPTY_MAP):
            raise ConfigError(f"{key} holds other keys, not a value")
        return ""
    if key in maps or scalar == yaml_subset.EMPTY_MAP:
        raise ConfigError(f"{key} is a map, as an old cloud configuration wrote it; put its name here as a plain text")
    return "" if scalar in yaml_subset.EMPTY or not line.value else SCHEMA[key].read(line.value, key)


def _read(path: str) -> str:
    """Return the file's text, empty when there is no file; ConfigError for a pipe or device, and for a huge file."""
    aside = f"move it away: `{shlex.join(('mv', path, f'{path}.aside'))}`"
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path} is not a regular file", aside)
        if status.st_size > _LARGEST:
            raise ConfigError(f"{path} has {status.st_size >> 20} MB and is no configuration", aside)
        # Bytes that are not UTF-8 become surrogates, which the parser refuses with their line. The codec that skips the
        # byte order mark of some editors is not frozen into the launcher.
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read(_LARGEST).removeprefix("\ufeff")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        home = os.path.dirname(path)
        unusable = unwritable(path, home) if isinstance(error, PermissionError) else explain(error, home)
        raise ConfigError(f"cannot read {path}: {error.strerror}", unusable.remedy) from error


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


@contextmanager
def _editing(places: Places) -> Iterator[None]:
    """Lock the file against other commands that edit it."""
    prepare_home(places.home, places.run)
    with locks.acquire(os.path.join(places.run, "config.lock"), _WAIT), _naming_the_line(places.config):
        yield


@contextmanager
def _naming_the_line(path: str) -> Iterator[None]:
    try:
        yield
    except yaml_subset.SubsetError as error:
        number, problem = error.args
        raise ConfigError(f"{path}, line {number}: {problem}") from error

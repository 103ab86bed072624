"""The values in effect and where each comes from: a variable of the environment, the file, or the default. Pure."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.config.llm import find_llm
from stigmer_launcher.config.schema import SCHEMA

_LLM = "backend.local.llm"
_MANAGED, _ADDRESS = "backend.local.temporal.managed", "backend.local.temporal.address"
_VARIABLE = "TEMPORAL_SERVICE_ADDRESS"


class Row(NamedTuple):
    """One line of `config list`; `origin` is `file`, `default`, or the variable that decided."""

    key: str
    value: str
    origin: str


def effective_values(config: Config, environ: Mapping[str, str]) -> tuple[Row, ...]:
    """List every key with its value as a start would use it; of a secret only that it is set."""
    rows = {key: Row(key, config.text(key), "file" if config.find(key) else "default") for key in SCHEMA}
    rows |= {row.key: row for row in (*_llm(config, environ), *_temporal(config, environ))}
    return tuple(
        row._replace(value="(set, not shown)") if row.value and SCHEMA[row.key].secret else row for row in rows.values()
    )


def _llm(config: Config, environ: Mapping[str, str]) -> Iterator[Row]:
    llm = find_llm(environ, config)
    for name, value in (("provider", llm.provider), ("model", llm.model), ("base_url", llm.base_url)):
        key, variable = f"{_LLM}.{name}", f"STIGMER_LLM_{name.upper()}"
        filed = config.find(key) and config.text(key) == value
        yield Row(key, value, variable if environ.get(variable, "").strip() else "file" if filed else "default")
    if llm.key_from in environ:
        yield Row(f"{_LLM}.api_key", llm.api_key, llm.key_from)


def _temporal(config: Config, environ: Mapping[str, str]) -> Iterator[Row]:
    if named := environ.get(_VARIABLE, ""):
        yield Row(_ADDRESS, named, _VARIABLE)
        yield Row(_MANAGED, "false", _VARIABLE)
    elif config.find(_ADDRESS) and not config.find(_MANAGED):
        yield Row(_MANAGED, "false", "file")

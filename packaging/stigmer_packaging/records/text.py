"""Records as JSON: equal ones give equal texts, and nothing that is damaged is read."""

import json
from typing import TypeVar

import cattrs

from stigmer_packaging.lib.errors import RecordError

Record = TypeVar("Record")
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


def render_record(record: object) -> str:
    """Give a record's text."""
    return json.dumps(_CONVERTER.unstructure(record), indent=2, sort_keys=True) + "\n"


def parse_record(text: str | bytes, kind: type[Record], name: str) -> Record:
    """Read what render_record wrote; RecordError, which says the record's name, when it is anything else."""
    try:
        return _CONVERTER.structure(json.loads(text), kind)
    except (ValueError, TypeError, AttributeError, RecursionError, cattrs.BaseValidationError) as error:
        raise RecordError(f"{name} is damaged: {error}") from error

"""Records as JSON: equal records have equal texts, and damaged ones are refused."""

import json
from typing import TypeVar

import cattrs

from stigmer_packaging.lib.errors import RecordError

Record = TypeVar("Record")
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


def render_record(record: object) -> str:
    """Return a record's text."""
    return json.dumps(_CONVERTER.unstructure(record), indent=2, sort_keys=True) + "\n"


def parse_record(text: str | bytes, kind: type[Record], name: str) -> Record:
    """Parse a text written by render_record; RecordError, with the record's name, for any other text."""
    try:
        return _CONVERTER.structure(json.loads(text), kind)
    except (ValueError, TypeError, AttributeError, RecursionError, cattrs.BaseValidationError) as error:
        raise RecordError(f"{name} is damaged: {error}") from error

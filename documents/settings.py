"""The table of settings in docs/using.md, made from the launcher's schema."""

from stigmer_launcher.config.schema import SCHEMA, Field
from stigmer_launcher.errors import ConfigError

BEGIN, END = "<!-- settings: made by scripts/docs -->\n", "<!-- end of settings -->\n"


def insert_settings(page: str) -> str:
    """Give a page with the table between its two marks made anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{render_settings()}\n{end}{after}"


def render_settings() -> str:
    """Give the table: each key, what it may hold, its default, and what it decides."""
    rows = (f"| `{key}` | {_values(field)} | {_default(field)} | {_about(field)} |" for key, field in SCHEMA.items())
    return "\n".join(("| key | values | default | what it decides |", "|---|---|---|---|", *rows, ""))


def _values(field: Field) -> str:
    """Say what may be given, in the words of the error for what may not."""
    try:
        field.read("\n", "")
    except ConfigError as error:
        return str(error).partition(": expected ")[2]
    return "text"


def _default(field: Field) -> str:
    return f"`{field.default}`" if field.default else ""


def _about(field: Field) -> str:
    return f"no effect: {field.unused}" if field.unused else field.about

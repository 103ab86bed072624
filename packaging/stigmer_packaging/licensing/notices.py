"""The third-party notices: all third-party software, its licences, and each licence text once."""

from collections.abc import Mapping, Sequence

from stigmer_packaging.records.model import Credits, Ingredient

TEXTS = "LICENCE TEXTS"
"""The heading after the list of names."""

_RULE = "-" * 78
_HEAD = """\
Third-party notices of {name} {version} for {target}

The parts of {name} and the software in each of them, with name, version and licence. The numbers refer to the licence
texts below. Software without a number has no licence text in its source; the licence is the one its authors declare.
"""


def render_notices(name: str, version: str, target: str, credited: Sequence[Credits]) -> str:
    """Render the notices; equal credits give equal texts."""
    texts: dict[str, str] = {}
    for key, text in (row for credit in credited for row in credit.texts.items()):
        texts[key] = min(text, texts.get(key, text))  # deterministic choice among texts that differ in whitespace only
    numbers = {key: number for number, key in enumerate(sorted(texts, key=lambda key: (texts[key].lower(), key)), 1)}
    lines = [_HEAD.format(name=name, version=version, target=target)]
    for credit in credited:
        lines += ["", f"{credit.part} {credit.version} ({credit.licence})"]
        lines += [f"  {_line(ingredient, numbers)}" for ingredient in credit.ingredients]
        lines += [f"  Modified: {each}." for each in credit.omitted]
    lines += ["", TEXTS]
    for key, number in numbers.items():
        lines += ["", _RULE, f"[{number}]", "", texts[key].rstrip("\n")]
    return "\n".join(lines) + "\n"


def _line(ingredient: Ingredient, numbers: Mapping[str, int]) -> str:
    references = "".join(f" [{number}]" for number in sorted(numbers[key] for key in ingredient.texts))
    version = ingredient.version or "-"  # unknown
    return f"{ingredient.name} {version} ({ingredient.licence}){references}"

"""The third-party notices of a keg: everything that others made, its licence, and each licence text once."""

from collections.abc import Mapping, Sequence

from stigmer_packaging.manifest.model import Product
from stigmer_packaging.records.model import Credits, Ingredient

TEXTS = "LICENCE TEXTS"
"""The line after which nothing more is named."""

_RULE = "-" * 78
_HEAD = """\
Third-party notices of {name} {version} for {target}

These are the parts of {name} and what each is made of: name, version, licence. Numbers lead to the licence texts below;
what has none carries none in its source, and its licence is what its authors say of it.
"""


def render_notices(product: Product, target: str, credited: Sequence[Credits]) -> str:
    """Give the text of the notices: equal credits give equal texts."""
    texts: dict[str, str] = {}
    for key, text in (row for credit in credited for row in credit.texts.items()):
        texts[key] = min(text, texts.get(key, text))  # of those that differ in their lines alone, always the same one
    numbers = {key: number for number, key in enumerate(sorted(texts, key=lambda key: (texts[key].lower(), key)), 1)}
    lines = [_HEAD.format(name=product.name, version=product.version, target=target)]
    for credit in credited:
        lines += ["", f"{credit.part} {credit.version} ({credit.licence})"]
        lines += [f"  {_line(ingredient, numbers)}" for ingredient in credit.ingredients]
        lines += [f"  Modified: {each}." for each in credit.left_out]
    lines += ["", TEXTS]
    for key, number in numbers.items():
        lines += ["", _RULE, f"[{number}]", "", texts[key].rstrip("\n")]
    return "\n".join(lines) + "\n"


def _line(ingredient: Ingredient, numbers: Mapping[str, int]) -> str:
    references = "".join(f" [{number}]" for number in sorted(numbers[key] for key in ingredient.texts))
    version = ingredient.version or "-"  # where nobody says it
    return f"{ingredient.name} {version} ({ingredient.licence}){references}"

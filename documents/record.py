"""Regenerates the pictures in docs/ by running the programs.

python -m documents.record start KEG [--check]    (a keg: the directory `stigmer/2.0.0` of an unpacked bottle)
python -m documents.record report PAGE
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from documents.pictures import first_start
from documents.pictures.errors import PictureError
from documents.pictures.report import photograph

_IMAGES = Path(__file__).parents[1] / "docs" / "images"
_PASSED = ("PATH", "LANG", "TMPDIR")


def main() -> int:
    """Regenerate a picture, or compare it; return 1 if that fails."""
    options = _parser().parse_args()
    try:
        if options.what == "report":
            photograph(options.page, _IMAGES / "report.png")
        else:
            _first_start(options.keg, _IMAGES / "first-start.svg", check=options.check)
    except PictureError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/record", description="Regenerate the pictures in docs/.")
    kinds = parser.add_subparsers(dest="what", required=True)
    start = kinds.add_parser("start", help="docs/images/first-start.svg, from the output of a keg")
    start.add_argument("keg", type=Path, metavar="KEG", help="the directory stigmer/VERSION of an unpacked bottle")
    start.add_argument("--check", action="store_true", help="only check that the keg prints what the picture shows")
    report = kinds.add_parser("report", help="docs/images/report.png, a screenshot by Chromium")
    report.add_argument("page", type=Path, metavar="PAGE", help="a release's report.html")
    return parser


def _first_start(keg: Path, picture: Path, *, check: bool) -> None:
    env = {name: os.environ[name] for name in _PASSED if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="stigmer-record-") as home:
        recorded = first_start.record((str(keg.resolve() / "bin" / "stigmer"),), Path(home), env)
    if not check:
        picture.write_text(first_start.draw(recorded), encoding="utf-8")
    elif found := first_start.differences(picture.read_text(encoding="utf-8"), recorded):
        changed = "\n".join(found)
        raise PictureError(f"{picture} differs from the output of {keg}; run `scripts/record start {keg}`\n{changed}")


if __name__ == "__main__":
    sys.exit(main())

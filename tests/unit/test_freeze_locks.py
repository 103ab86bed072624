"""Locks are read exactly, and nothing that is not pinned with a hash is installed."""

from pathlib import Path

import pytest

from stigmer_packaging.freeze.pyinstaller import DISTRIBUTIONS
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.sources.locks import parse_lock, select_pins

LOCK = """\
# made by a tool
altgraph==0.17.5 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
Macho_Lib==1.16.4 ; sys_platform == 'darwin' \\
    --hash=sha256:cc
"""


def test_a_lock_gives_names_versions_hashes_and_where_a_pin_is_wanted() -> None:
    altgraph, macholib = parse_lock(LOCK)
    assert (altgraph.name, altgraph.version, altgraph.hashes) == ("altgraph", "0.17.5", ("sha256:aa", "sha256:bb"))
    assert (macholib.name, macholib.version) == ("macho-lib", "1.16.4")
    assert altgraph.applies({"sys_platform": "linux"})
    assert macholib.applies({"sys_platform": "darwin"})
    assert not macholib.applies({"sys_platform": "linux"})


def test_options_that_name_an_index_and_comments_are_passed_over() -> None:
    """Pipenv writes the first, pip-compile either."""
    noted = LOCK.replace("--hash=sha256:bb", "--hash=sha256:bb  # via a-tool")
    indexes = "-i https://index.invalid/simple\n--extra-index-url=https://x.invalid\n"
    assert parse_lock(indexes + noted) == parse_lock(LOCK)


@pytest.mark.parametrize("line", ["six", "six==1.0", "six>=1.0 --hash=sha256:aa", "six==1.* --hash=sha256:aa", "-e ."])
def test_whatever_is_not_pinned_is_named(line: str) -> None:
    """A version without a hash, a range, a folder: the next build could get something else."""
    with pytest.raises(GateError, match="does not pin these exactly") as refused:
        parse_lock(LOCK + line + "\n")
    assert line in str(refused.value)


def test_a_service_may_pin_for_itself_what_freezing_needs_too() -> None:
    """Its own pin wins; a name may not come twice."""
    pins = parse_lock(LOCK)
    assert [pin.name for pin in select_pins(pins, {"altgraph", "macho-lib"}, without={"altgraph"})] == ["macho-lib"]


def test_this_repository_pins_all_that_freezing_installs() -> None:
    """PyInstaller has no lock of its own."""
    pins = parse_lock((Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8"))
    assert {pin.name for pin in select_pins(pins, DISTRIBUTIONS)} == set(DISTRIBUTIONS)

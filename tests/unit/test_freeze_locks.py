"""Lock files are parsed strictly, and only distributions pinned by hash are installed."""

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


def test_a_lock_is_parsed_into_names_versions_hashes_and_markers() -> None:
    altgraph, macholib = parse_lock(LOCK)
    assert (altgraph.name, altgraph.version, altgraph.hashes) == ("altgraph", "0.17.5", ("sha256:aa", "sha256:bb"))
    assert (macholib.name, macholib.version) == ("macho-lib", "1.16.4")
    assert altgraph.applies({"sys_platform": "linux"})
    assert macholib.applies({"sys_platform": "darwin"})
    assert not macholib.applies({"sys_platform": "linux"})


def test_index_options_and_comments_in_a_lock_are_ignored() -> None:
    """Pipenv writes index options; pip-compile writes both."""
    commented = LOCK.replace("--hash=sha256:bb", "--hash=sha256:bb  # via a-tool")
    indexes = "-i https://index.invalid/simple\n--extra-index-url=https://x.invalid\n"
    indexes += "--index-url https://index.invalid/simple\n--trusted-host x.invalid\n"
    assert parse_lock(indexes + commented) == parse_lock(LOCK)


@pytest.mark.parametrize("line", ["six", "six==1.0", "six>=1.0 --hash=sha256:aa", "six==1.* --hash=sha256:aa", "-e ."])
def test_a_requirement_that_is_not_pinned_by_hash_is_refused(line: str) -> None:
    """With a version without a hash, a range or a folder, the next build could install something else."""
    with pytest.raises(GateError, match="does not pin these exactly") as refused:
        parse_lock(LOCK + line + "\n")
    assert line in str(refused.value)


def test_the_pin_of_a_service_takes_precedence_over_the_one_for_freezing() -> None:
    """A distribution must not be listed twice."""
    pins = parse_lock(LOCK)
    assert [pin.name for pin in select_pins(pins, {"altgraph", "macho-lib"}, without={"altgraph"})] == ["macho-lib"]


def test_the_lock_of_this_repository_pins_everything_that_freezing_installs() -> None:
    """PyInstaller does not come with a lock."""
    pins = parse_lock((Path(__file__).parents[2] / "requirements.lock").read_text(encoding="utf-8"))
    assert {pin.name for pin in select_pins(pins, DISTRIBUTIONS)} == set(DISTRIBUTIONS)

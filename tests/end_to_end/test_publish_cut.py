"""Publishing, cut at every single request and run again: the result is the same, and no partial release was public."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from stigmer_packaging.lib.errors import PackagingError
from support.fake_github import Trouble
from support.publishable import write_release
from support.publishing import Observer, PreparedRelease, prepare_release, state_of

PARTS = 6
AT_LEAST = 50
"""With fewer requests than this, the test would no longer cut everything it should."""


@contextlib.contextmanager
def watched(root: Path, folder: Path, *, proposed: bool = False) -> Iterator[tuple[PreparedRelease, Observer]]:
    with prepare_release(root, folder, proposed=proposed) as prepared:
        observer = Observer(prepared)
        prepared.github.after = observer.check
        yield prepared, observer


def check(prepared: PreparedRelease, observer: Observer, end: dict[str, object], where: str) -> None:
    assert observer.violations == [], where
    assert state_of(prepared) == end, where
    assert set(observer.uploads.values()) == {1}, where


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("release")
    write_release(place, "2.0.0")
    return place


class Undisturbed(NamedTuple):
    """A run without faults: how the tap was changed, which requests are worth cutting, and the final state."""

    proposed: bool
    cuts: range
    end: dict[str, object]


@pytest.fixture(scope="module", params=[False, True], ids=["pushed", "proposed"])
def undisturbed(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Publish without faults. A proposal is cut only once the release is public: until then, nothing differs."""
    with watched(tmp_path_factory.mktemp("undisturbed"), folder, proposed=request.param) as (prepared, observer):
        prepared.publish()
        assert observer.violations == []
        log = prepared.github.log
        public = next(number for number, line in enumerate(log, 1) if line.startswith("PATCH"))
        assert len(log) >= AT_LEAST
        return Undisturbed(request.param, range(public + 1 if request.param else 1, len(log) + 1), state_of(prepared))


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["unheard", "unanswered", "torn"])
def test_a_run_cut_at_any_request_and_started_again_ends_as_an_undisturbed_one(
    kind: str, part: int, undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    """For the first run, the network is gone from the cut on."""
    for number in undisturbed.cuts[part::PARTS]:
        with watched(tmp_path / str(number), folder, proposed=undisturbed.proposed) as (prepared, observer):
            prepared.github.trouble, prepared.attempts = Trouble(number, kind), 2
            with pytest.raises(PackagingError):
                prepared.publish()
            prepared.github.trouble = Trouble()
            prepared.publish()
            check(prepared, observer, undisturbed.end, f"{kind} at request {number}: {prepared.github.log[number - 1]}")


@pytest.mark.parametrize("part", range(PARTS))
def test_a_transient_fault_at_any_request_is_retried(
    part: int, undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    """Half of the requests are processed but their answers are lost; the others get a server error."""
    for number in undisturbed.cuts[part::PARTS]:
        kind = ("unanswered", "502")[number // PARTS % 2]
        with watched(tmp_path / str(number), folder, proposed=undisturbed.proposed) as (prepared, observer):
            prepared.github.trouble = Trouble(number, kind, lasting=False)
            prepared.publish()
            check(prepared, observer, undisturbed.end, f"{kind} at request {number}: {prepared.github.log[number - 1]}")

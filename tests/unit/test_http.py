"""Downloads against a real server that fails: whole, or not at all."""

import hashlib
import socket
from pathlib import Path

import httpx
import pytest

from stigmer_packaging.lib import http
from stigmer_packaging.lib.errors import DownloadError
from support.faulty_server import Faults, FaultyServer, faulty_server

CONTENT = bytes(range(256)) * 4096
SHA = hashlib.sha256(CONTENT).hexdigest()


def fetch(server: FaultyServer, folder: Path, sha256: str = SHA) -> Path:
    """Download without waiting between attempts."""
    return http.download(server.url, sha256, folder / "file", pause=lambda _: None)


def litter(folder: Path) -> set[str]:
    """Name what is there besides the lock."""
    return {path.name for path in folder.iterdir()} - {"file.lock"}


def test_a_file_arrives_with_its_bytes_and_nothing_beside_it(tmp_path: Path) -> None:
    with faulty_server(CONTENT, Faults()) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert litter(tmp_path) == {"file"}


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    with faulty_server(CONTENT, Faults()) as server:
        fetch(server, tmp_path)
        assert server.asked == []


def test_a_damaged_file_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    with faulty_server(CONTENT, Faults()) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("validator", ['"one"', ""])
def test_a_cut_connection_goes_on_where_it_was_cut(tmp_path: Path, validator: str) -> None:
    with faulty_server(CONTENT, Faults(cuts=[300_000, 200_000], validator=validator)) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert server.asked == ["", "bytes=300000-", "bytes=500000-"]


def test_another_process_goes_on_where_a_killed_one_was(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:700_000])
    with faulty_server(CONTENT, Faults()) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert server.asked == ["bytes=700000-"]


def test_a_server_without_ranges_sends_all_of_it_again(tmp_path: Path) -> None:
    with faulty_server(CONTENT, Faults(cuts=[300_000], ranges=False)) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert litter(tmp_path) == {"file"}


def test_a_file_that_changed_between_two_attempts_is_not_patched_together(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    (tmp_path / "file.part.validator").write_text('"another"', encoding="ascii")
    with faulty_server(CONTENT, Faults()) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert len(server.asked) == 1


def test_wrong_bytes_of_an_earlier_attempt_cost_one_more_attempt_only(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    with faulty_server(CONTENT, Faults(validator="")) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert server.asked == ["bytes=1000-", ""]


def test_more_bytes_than_the_server_has_are_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT * 2)
    with faulty_server(CONTENT, Faults()) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_range_that_was_not_asked_for_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    with faulty_server(CONTENT, Faults(shift=7)) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    with faulty_server(CONTENT, Faults(statuses=[503, 429, 500])) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert len(server.asked) == 4


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusal_is_final_and_never_becomes_a_file(tmp_path: Path, status: int) -> None:
    with (
        faulty_server(CONTENT, Faults(statuses=[status])) as server,
        pytest.raises(DownloadError, match=f"answered {status}"),
    ):
        fetch(server, tmp_path)
    assert litter(tmp_path) == set()


def test_a_web_page_in_place_of_a_file_never_becomes_a_file(tmp_path: Path) -> None:
    page = b"<html>404 not found</html>"
    with (
        faulty_server(page, Faults(content_type="text/html; charset=utf-8")) as server,
        pytest.raises(DownloadError, match="a web page, not a file"),
    ):
        fetch(server, tmp_path)
    assert litter(tmp_path) == set()


def test_other_bytes_than_the_checksum_says_are_refused_with_both(tmp_path: Path) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    with faulty_server(b"other", Faults()) as server, pytest.raises(DownloadError, match=f"{other}.*{SHA}"):
        fetch(server, tmp_path)
    assert litter(tmp_path) == set()


def test_a_server_that_claims_more_than_it_sends_is_given_up_after_all_attempts(tmp_path: Path) -> None:
    with (
        faulty_server(CONTENT[:100], Faults(claimed=200, validator="", ranges=False)) as server,
        pytest.raises(DownloadError, match="did not arrive in 6 attempts"),
    ):
        fetch(server, tmp_path)
    assert not (tmp_path / "file").exists()


def test_nobody_listening_is_told_after_all_attempts(tmp_path: Path) -> None:
    pauses: list[float] = []
    with faulty_server(b"", Faults()) as server:
        gone = server.url
    with pytest.raises(DownloadError, match="did not arrive"):
        http.download(gone, SHA, tmp_path / "file", pause=pauses.append)
    assert pauses == [0.5, 1, 2, 4, 8]


def test_a_server_that_says_nothing_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DownloadError, match="did not arrive"):
            http.download(url, SHA, tmp_path / "file", pause=lambda _: None, timeout=httpx.Timeout(0.05))


def test_an_address_that_is_none_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        http.download("http://[", SHA, tmp_path / "file", pause=lambda _: None)

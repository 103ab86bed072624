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


def fetch(server: FaultyServer, folder: Path) -> Path:
    return http.download(server.url, SHA, folder / "file", pause=lambda _: None)


def litter(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"file.lock"}


@pytest.mark.parametrize(
    ("before", "faults", "asked"),
    [
        pytest.param({}, Faults(), [""], id="nothing goes wrong"),
        pytest.param({"file": CONTENT}, Faults(), [], id="it is there already"),
        pytest.param({"file": CONTENT[:-1]}, Faults(), [""], id="a damaged file is there"),
        pytest.param({}, Faults(cuts=[300_000, 200_000]), ["", "bytes=300000-", "bytes=500000-"], id="cut twice"),
        pytest.param({}, Faults(cuts=[300_000], ranges=False), ["", "bytes=300000-"], id="a server without ranges"),
        pytest.param({"file.part": CONTENT[:700_000]}, Faults(), ["bytes=700000-"], id="a killed process was there"),
        pytest.param({"file.part": b"x" * 1000}, Faults(), ["bytes=1000-", ""], id="the file changed in between"),
        pytest.param({"file.part": CONTENT * 2}, Faults(), ["bytes=2097152-", ""], id="more bytes than the server has"),
        pytest.param({"file.part": CONTENT[:1000]}, Faults(shift=7), ["bytes=1000-", ""], id="another range is sent"),
        pytest.param({}, Faults(statuses=[503, 429, 500]), [""] * 4, id="a busy server"),
    ],
)
def test_a_file_arrives_with_its_bytes_and_nothing_beside_it(
    tmp_path: Path, before: dict[str, bytes], faults: Faults, asked: list[str]
) -> None:
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    with faulty_server(CONTENT, faults) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert server.asked == asked
    assert litter(tmp_path) == {"file"}


@pytest.mark.parametrize(
    ("content", "faults", "said"),
    [
        (CONTENT, Faults(statuses=[404]), "answered 404"),
        (CONTENT, Faults(statuses=[403]), "answered 403"),
        (CONTENT, Faults(statuses=[410]), "answered 410"),
        (b"<html>404</html>", Faults(content_type="text/html; charset=utf-8"), "a web page, not a file"),
        (b"other", Faults(), f"{hashlib.sha256(b'other').hexdigest()}.*{SHA}"),
    ],
)
def test_a_refusal_is_final_and_never_becomes_a_file(tmp_path: Path, content: bytes, faults: Faults, said: str) -> None:
    with faulty_server(content, faults) as server, pytest.raises(DownloadError, match=said):
        fetch(server, tmp_path)
    assert len(server.asked) == 1
    assert litter(tmp_path) == set()


def test_a_server_that_claims_more_than_it_sends_is_given_up_after_all_attempts(tmp_path: Path) -> None:
    with (
        faulty_server(CONTENT[:100], Faults(claimed=200, ranges=False)) as server,
        pytest.raises(DownloadError, match="could not be downloaded in 6 attempts"),
    ):
        fetch(server, tmp_path)
    assert not (tmp_path / "file").exists()


def test_nobody_listening_is_told_after_all_attempts(tmp_path: Path) -> None:
    pauses: list[float] = []
    with faulty_server(b"", Faults()) as server:
        gone = server.url
    with pytest.raises(DownloadError, match="could not be downloaded"):
        http.download(gone, SHA, tmp_path / "file", pause=pauses.append)
    assert pauses == [0.5, 1, 2, 4, 8]


def test_a_server_that_says_nothing_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DownloadError, match="could not be downloaded"):
            http.download(url, SHA, tmp_path / "file", pause=lambda _: None, timeout=httpx.Timeout(0.05))


def test_an_address_that_is_none_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        http.download("http://[", SHA, tmp_path / "file", pause=lambda _: None)

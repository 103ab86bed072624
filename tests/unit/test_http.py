"""Downloads from a real, faulty server are either complete or fail."""

import hashlib
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from stigmer_packaging.lib import http
from stigmer_packaging.lib.errors import DownloadError, UnavailableError
from stigmer_packaging.lib.loopback import listening
from support.faulty_server import Faults, FaultyServer, faulty_server

CONTENT = bytes(range(256)) * 4096
SHA = hashlib.sha256(CONTENT).hexdigest()


def fetch(server: FaultyServer, folder: Path) -> Path:
    return http.download(server.url, SHA, folder / "file", pause=lambda _: None)


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"file.lock"}


@pytest.mark.parametrize(
    ("before", "faults", "ranges"),
    [
        pytest.param({}, Faults(), [""], id="no fault"),
        pytest.param({"file": CONTENT}, Faults(), [], id="file exists already"),
        pytest.param({"file": CONTENT[:-1]}, Faults(), [""], id="damaged file exists"),
        pytest.param(
            {}, Faults(cuts=[300_000, 200_000]), ["", "bytes=300000-", "bytes=500000-"], id="connection lost twice"
        ),
        pytest.param({}, Faults(cuts=[300_000], ranges=False), ["", "bytes=300000-"], id="server without ranges"),
        pytest.param(
            {"file.part": CONTENT[:700_000]}, Faults(), ["bytes=700000-"], id="partial file of a killed process"
        ),
        pytest.param({"file.part": b"x" * 1000}, Faults(), ["bytes=1000-", ""], id="partial file of other content"),
        pytest.param(
            {"file.part": CONTENT * 2}, Faults(), ["bytes=2097152-", ""], id="partial file larger than the download"
        ),
        pytest.param(
            {"file.part": CONTENT[:1000]}, Faults(shift=7), ["bytes=1000-", ""], id="server sends another range"
        ),
        pytest.param({}, Faults(statuses=[503, 429, 500]), [""] * 4, id="busy server"),
    ],
)
def test_a_download_is_complete_despite_faults_and_leaves_no_other_files(
    tmp_path: Path, before: dict[str, bytes], faults: Faults, ranges: list[str]
) -> None:
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    with faulty_server(CONTENT, faults) as server:
        assert fetch(server, tmp_path).read_bytes() == CONTENT
        assert server.range_headers == ranges
    assert file_names(tmp_path) == {"file"}


@pytest.mark.parametrize(
    ("content", "faults", "message"),
    [
        (CONTENT, Faults(statuses=[404]), "answered 404"),
        (CONTENT, Faults(statuses=[403]), "answered 403"),
        (CONTENT, Faults(statuses=[410]), "answered 410"),
        (b"<html>404</html>", Faults(content_type="text/html; charset=utf-8"), "a web page, not a file"),
        (b"other", Faults(), f"{hashlib.sha256(b'other').hexdigest()}.*{SHA}"),
    ],
)
def test_a_wrong_answer_is_not_retried_and_leaves_no_file(
    tmp_path: Path, content: bytes, faults: Faults, message: str
) -> None:
    with faulty_server(content, faults) as server, pytest.raises(DownloadError, match=message):
        fetch(server, tmp_path)
    assert len(server.range_headers) == 1
    assert file_names(tmp_path) == set()


def test_a_server_that_announces_more_than_it_sends_fails_after_all_attempts(tmp_path: Path) -> None:
    with (
        faulty_server(CONTENT[:100], Faults(claimed=200, ranges=False)) as server,
        pytest.raises(DownloadError, match="could not be downloaded in 6 attempts"),
    ):
        fetch(server, tmp_path)
    assert not (tmp_path / "file").exists()


def test_a_server_that_is_not_reachable_fails_after_all_attempts(tmp_path: Path) -> None:
    pauses: list[float] = []
    with faulty_server(b"", Faults()) as server:
        url = server.url
    with pytest.raises(DownloadError, match="could not be downloaded"):
        http.download(url, SHA, tmp_path / "file", pause=pauses.append)
    assert pauses == [0.5, 1, 2, 4, 8]


def test_a_server_that_does_not_answer_times_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DownloadError, match="could not be downloaded"):
            http.download(url, SHA, tmp_path / "file", pause=lambda _: None, timeout=httpx.Timeout(0.05))


class _SlowServer(ThreadingHTTPServer):
    """Answers a POST once `released` is set, and a GET never."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SlowHandler)
        self.received, self.released = threading.Event(), threading.Event()


class _SlowHandler(BaseHTTPRequestHandler):
    server: _SlowServer

    def do_GET(self) -> None:
        self.server.released.wait()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.set()
        self.server.released.wait()
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_answer_to_an_upload_may_take_longer_than_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", httpx.Timeout(0.05))
    (tmp_path / "file").write_bytes(CONTENT)
    server = _SlowServer()
    with listening(server) as url, ThreadPoolExecutor() as pool:
        headers = {"Content-Length": str(len(CONTENT))}
        upload = pool.submit(http.request, "POST", url, headers=headers, content=tmp_path / "file")
        server.received.wait()
        with pytest.raises(UnavailableError, match="timed out"):
            http.request("GET", url, headers={})
        server.released.set()
        assert upload.result().status == 201


def test_an_error_of_a_request_does_not_contain_the_query_of_its_url() -> None:
    """Storages accept a key there."""
    with faulty_server(b"", Faults()) as server:
        url = server.url
    with pytest.raises(UnavailableError, match=re.escape(url)) as caught:
        http.request("GET", f"{url}?key=secret", headers={})
    assert "secret" not in str(caught.value)


def test_an_invalid_url_is_a_download_error(tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        http.download("http://[", SHA, tmp_path / "file", pause=lambda _: None)

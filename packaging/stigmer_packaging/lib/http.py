"""HTTP: downloads that arrive whole or not at all, and single requests whose failures are told apart.

A download is resumed, tried again, checked by sha256, and put in place by one rename.
"""

import contextlib
import functools
import hashlib
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.cache import alone
from stigmer_packaging.lib.errors import DownloadError, UnavailableError

Report = Callable[[str], None]
ATTEMPTS = 6
TIMEOUT = httpx.Timeout(30, connect=10)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """A server's answer; header names are in lower case, `size` and `sha256` are the body's.

    `body` is whole where the answer was asked for, and only its first kilobytes where only the digest was.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    size: int
    sha256: str


def exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | Path = b"",
    kept: int | None = None,
    into: Path | None = None,
) -> Answer:
    """Send one request, once, and read the answer, of whose body the first `kept` bytes are kept (None: all).

    A file is sent as a stream, and with `into` the body goes to a file as it comes. Redirects of a GET are followed; to another origin no Authorization goes along.
    UnavailableError when the server cannot be reached or the connection breaks, which for all but GET leaves open
    whether the request was carried out.
    """
    with contextlib.ExitStack() as stack:
        body = stack.enter_context(content.open("rb")) if isinstance(content, Path) else content
        try:
            follow = method == "GET"
            client = stack.enter_context(httpx.Client(follow_redirects=follow, timeout=TIMEOUT, verify=_trusted()))
            asked = {"Accept-Encoding": "identity", **headers}
            response = stack.enter_context(client.stream(method, url, headers=asked, content=body))
            sink = stack.enter_context(into.open("wb")) if into else None
            return _read(response, kept, sink)
        except httpx.TransportError as error:
            raise UnavailableError(f"{method} {url}: {error or type(error).__name__}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(f"{method} {url}: {error}") from error


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Read the trusted certificates once: it takes longer than a request."""
    return httpx.create_ssl_context()


def _read(response: httpx.Response, kept: int | None, sink: BinaryIO | None) -> Answer:
    total, parts, size = hashlib.sha256(), [], 0
    for chunk in response.iter_raw():
        total.update(chunk)
        if sink:
            sink.write(chunk)
        if kept is None or size < kept:
            parts.append(chunk)
        size += len(chunk)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, b"".join(parts)[:kept], size, total.hexdigest())


def download(
    url: str,
    sha256: str,
    destination: Path,
    *,
    report: Report = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
    timeout: httpx.Timeout = TIMEOUT,
) -> Path:
    """Fetch `url` to `destination`, going on where an earlier attempt was cut, and give `destination`.

    A file that is there already with this sha256 is kept. DownloadError when the server refuses, sends a page in place
    of a file, stays unreachable over all attempts, or sends other bytes than the sha256 says.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with alone(destination), httpx.Client(follow_redirects=True, timeout=timeout) as client:
        if destination.is_file() and digest.sha256_of(destination) == sha256:
            return destination
        part, reason = destination.with_name(f"{destination.name}.part"), ""
        for attempt in range(ATTEMPTS):
            if attempt:
                report(f"{url}: {reason}; trying again")
                pause(0.5 * 2 ** (attempt - 1))
            try:
                resumed = _attempt(client, url, part, report)
                return _finish(part, destination, sha256, url, resumed=resumed)
            except (UnavailableError, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise DownloadError(f"{url}: {error}") from error
    raise DownloadError(f"{url} did not arrive in {ATTEMPTS} attempts; the last one: {reason}")


def _attempt(client: httpx.Client, url: str, part: Path, report: Report) -> bool:
    """Receive what is missing of a file, and tell whether its beginning is of an earlier attempt."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with client.stream("GET", url, headers=headers) as response:
        _refuse_failure(response, url, part)
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if resumed and not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise UnavailableError("the server sent another range than asked for")
        _receive(response, part, have if resumed else 0, report)
    return resumed


def _finish(part: Path, destination: Path, sha256: str, url: str, *, resumed: bool) -> Path:
    """Put the file in its place if it is the one asked for. What was put together wrongly is asked for once more."""
    found = digest.sha256_of(part)
    if found == sha256:
        return part.replace(destination)
    part.unlink()
    if resumed:
        raise UnavailableError("the resumed file was not the one asked for")
    raise DownloadError(f"{url} has the sha256 {found}, and {sha256} was asked for")


def _refuse_failure(response: httpx.Response, url: str, part: Path) -> None:
    status = response.status_code
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        raise UnavailableError("the server has fewer bytes than were here")
    if status in PASSING:
        raise UnavailableError(f"the server answered {status}")
    if status not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        raise DownloadError(f"{url}: the server answered {status} {response.reason_phrase}")
    if response.headers.get("content-type", "").startswith("text/html"):
        raise DownloadError(f"{url}: the server sent a web page, not a file")


_LARGE = 32 << 20
"""Bytes from which on a download is slow enough that how far it is should be said, in a pipe as one line each time."""


def _receive(response: httpx.Response, part: Path, already: int, report: Report) -> None:
    """Write what comes as it comes: bytes held back for a larger block would be lost with the connection."""
    expected = int(response.headers.get("content-length", 0)) + already
    told = -1
    with part.open("ab" if already else "wb") as stream:
        for chunk in response.iter_raw():
            stream.write(chunk)
            if expected >= _LARGE and (tenths := 10 * stream.tell() // expected) != told:
                report(f"{part.stem}: {stream.tell() >> 20} of {expected >> 20} MiB")
                told = tenths
        stream.flush()
        os.fsync(stream.fileno())

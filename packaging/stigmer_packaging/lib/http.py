"""HTTP: atomic downloads, and single requests whose failures are distinguished.

A download is resumed, retried, checked against its sha256, and put in place by a rename.
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
from stigmer_packaging.lib.cache import file_lock
from stigmer_packaging.lib.errors import DownloadError, UnavailableError

Report = Callable[[str], None]
ATTEMPTS = 6
TIMEOUT = httpx.Timeout(30, connect=10)
UPLOAD_TIMEOUT = httpx.Timeout(30, connect=10, read=300)
"""For a request with a file, which a server may store elsewhere before it answers."""
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Response:
    """A server's response; header names are in lower case, `size` and `sha256` are those of the whole body.

    `body` is complete, unless the request limited how many of its bytes are kept.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    size: int
    sha256: str


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | Path = b"",
    body_limit: int | None = None,
    into: Path | None = None,
) -> Response:
    """Send one request, without retries, and return the response.

    Only the first `body_limit` bytes of its body are kept (None: all). A file is sent as a stream; with `into`, the
    body is streamed to that file. Redirects are followed for GET only, and the Authorization header is not sent to
    another origin. UnavailableError if the server cannot be reached or the connection breaks; for methods other than
    GET, the server may have carried out the request all the same. DownloadError for an invalid URL or response. Errors
    omit the URL's query, which may contain a key.
    """
    place = url.partition("?")[0]
    with contextlib.ExitStack() as stack:
        body = stack.enter_context(content.open("rb")) if isinstance(content, Path) else content
        try:
            follow, timeout = method == "GET", UPLOAD_TIMEOUT if isinstance(content, Path) else TIMEOUT
            client = stack.enter_context(httpx.Client(follow_redirects=follow, timeout=timeout, verify=_trusted()))
            request_headers = {"Accept-Encoding": "identity", **headers}
            response = stack.enter_context(client.stream(method, url, headers=request_headers, content=body))
            sink = stack.enter_context(into.open("wb")) if into else None
            return _read(response, body_limit, sink)
        except httpx.TransportError as error:
            raise UnavailableError(f"{method} {place}: {error or type(error).__name__}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(f"{method} {place}: {error}") from error


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Load the trusted certificates once: loading takes longer than a request."""
    return httpx.create_ssl_context()


def _read(response: httpx.Response, body_limit: int | None, sink: BinaryIO | None) -> Response:
    total, parts, size = hashlib.sha256(), [], 0
    for chunk in response.iter_raw():
        total.update(chunk)
        if sink:
            sink.write(chunk)
        if body_limit is None or size < body_limit:
            parts.append(chunk)
        size += len(chunk)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, b"".join(parts)[:body_limit], size, total.hexdigest())


def download(
    url: str,
    sha256: str,
    destination: Path,
    *,
    report: Report = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
    timeout: httpx.Timeout = TIMEOUT,
) -> Path:
    """Download `url` to `destination`, resuming an earlier partial download, and return `destination`.

    An existing file with this sha256 is kept. DownloadError if the server refuses, sends a web page instead of a file,
    is unreachable in all attempts, or sends bytes that do not match the sha256.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(destination), httpx.Client(follow_redirects=True, timeout=timeout) as client:
        if destination.is_file() and digest.sha256_of(destination) == sha256:
            return destination
        part, reason = destination.with_name(f"{destination.name}.part"), ""
        for attempt in range(ATTEMPTS):
            if attempt:
                report(f"{url}: {reason}; retrying")
                pause(0.5 * 2 ** (attempt - 1))
            try:
                resumed = _attempt(client, url, part, report)
                return _finish(part, destination, sha256, url, resumed=resumed)
            except (UnavailableError, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise DownloadError(f"{url}: {error}") from error
    raise DownloadError(f"{url} could not be downloaded in {ATTEMPTS} attempts; last error: {reason}")


def _attempt(client: httpx.Client, url: str, part: Path, report: Report) -> bool:
    """Download the missing part of a file, and return whether it was appended to an earlier partial download."""
    offset = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
    with client.stream("GET", url, headers=headers) as response:
        _refuse_failure(response, url, part)
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        if resumed and not response.headers.get("content-range", "").startswith(f"bytes {offset}-"):
            part.unlink()
            raise UnavailableError("the server sent a different range than requested")
        _receive(response, part, offset if resumed else 0, report)
    return resumed


def _finish(part: Path, destination: Path, sha256: str, url: str, *, resumed: bool) -> Path:
    """Move a file with the right sha256 into place; UnavailableError causes a retry if a resumed download differs."""
    found = digest.sha256_of(part)
    if found == sha256:
        return part.replace(destination)
    part.unlink()
    if resumed:
        raise UnavailableError("the resumed download does not match its sha256")
    raise DownloadError(f"{url} has sha256 {found}; expected {sha256}")


def _refuse_failure(response: httpx.Response, url: str, part: Path) -> None:
    status = response.status_code
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        raise UnavailableError("the file on the server is shorter than the partial download")
    if status in TRANSIENT:
        raise UnavailableError(f"the server answered {status}")
    if status not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
        raise DownloadError(f"{url}: the server answered {status} {response.reason_phrase}")
    if response.headers.get("content-type", "").startswith("text/html"):
        raise DownloadError(f"{url}: the server sent a web page, not a file")


_LARGE = 32 << 20
"""Size in bytes from which on downloads are slow enough to report their progress."""


def _receive(response: httpx.Response, part: Path, offset: int, report: Report) -> None:
    """Write each chunk as it arrives: if chunks were collected first, a broken connection would lose them."""
    expected = int(response.headers.get("content-length", 0)) + offset
    reported = -1
    with part.open("ab" if offset else "wb") as stream:
        for chunk in response.iter_raw():
            stream.write(chunk)
            if expected >= _LARGE and (tenths := 10 * stream.tell() // expected) != reported:
                report(f"{part.stem}: {stream.tell() >> 20} of {expected >> 20} MiB")
                reported = tenths
        stream.flush()
        os.fsync(stream.fileno())

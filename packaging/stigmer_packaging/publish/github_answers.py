"""What GitHub's answers mean: done, refused, or better later.

Source: GitHub's REST documentation of rate limits and of status codes.
"""

import email.utils
import json
import time
from typing import Any

from stigmer_packaging.lib.errors import GitHubError, TokenError, UnavailableError
from stigmer_packaging.lib.http import Answer

_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_UNNAMED_LIMIT = 60  # seconds; what GitHub asks for when it limits without saying how long


def read_json(answer: Answer, method: str, url: str) -> Any:
    """Give what an answer says, or raise what refuse_failure does."""
    refuse_failure(answer, method, url)
    try:
        return json.loads(answer.body or b"null")
    except ValueError:
        raise UnavailableError(f"{method} {url}: the answer is no JSON") from None


def refuse_failure(answer: Answer, method: str, url: str) -> None:
    """Raise what helps: UnavailableError when waiting does, TokenError when another token does, else GitHubError."""
    if answer.status < 300:
        return
    said = f"{method} {url}: GitHub answered {answer.status}: {_message_of(answer)}"
    wait = _wait_of(answer)
    if answer.status in _PASSING or wait:
        raise UnavailableError(said, wait)
    if answer.status == 401:
        raise TokenError(f"{said}; the token is wrong, expired or revoked")
    if answer.status == 403:
        raise TokenError(f"{said}; the token may not do this")
    if answer.status == 404 and method != "GET":
        raise TokenError(f"{said}; it says so, too, where the token may read and not write")
    raise GitHubError(said, answer.status)


def _wait_of(answer: Answer) -> float:
    """Give how many seconds a limit lasts, by the server's clock and not ours; 0 when it is no limit."""
    if answer.status not in {403, 429}:
        return 0
    headers = answer.headers
    if (after := headers.get("retry-after", "")).isdigit():
        return float(after) or 1
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        now = email.utils.parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else time.time()
        return max(float(headers["x-ratelimit-reset"]) - now, 0) + 1
    limited = answer.status == 429 or "rate limit" in _message_of(answer).lower()
    return _UNNAMED_LIMIT if limited else 0


def _message_of(answer: Answer) -> str:
    try:
        told = json.loads(answer.body)
        errors = [
            str(one.get("message") or one) if isinstance(one, dict) else str(one) for one in told.get("errors", [])
        ]
        return "; ".join([str(told["message"]), *errors])
    except (ValueError, TypeError, KeyError, AttributeError):
        return "no message"

"""A fake GitHub for tests and the rehearsal: REST API, uploads, downloads, and git over HTTP.

As a program, with PYTHONPATH=tests:packaging:

    python -P -m support.fake_github --folder DIR --repository OWNER/NAME --token TOKEN

    --folder DIR             the bare git repositories, at DIR/OWNER/NAME.git; a missing one is created with one commit
    --repository OWNER/NAME  a repository to serve (may be repeated)
    --token TOKEN            a token with write access (may be repeated); no other token has it

When it is ready, it prints one line of JSON on stdout, such as
    {"GITHUB_SERVER_URL": "http://127.0.0.1:PORT", "GITHUB_API_URL": "http://127.0.0.1:PORT/api", "pid": 123}
and serves until SIGTERM or SIGINT. `git clone $GITHUB_SERVER_URL/OWNER/NAME.git` works without a token; a push needs
`x-access-token:TOKEN`. Releases, assets and pull requests are kept in memory, git repositories on disk.

In a test: `with github_at(folder, names, tokens) as running:`. `running.trouble` is a fault to inject, `running.before`
and `running.after` are called with every request, and `running.log` lists all requests.
"""

import argparse
import base64
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stigmer_packaging.lib.loopback import listening
from support.fake_github_answers import Answer, FakeGitHub, Request
from support.fake_github_wire import Listener, run_backend
from support.fake_github_world import FakeRepository, RefusedError

NOW = 1_795_000_000
"""The fixed time of the fake's clock, in seconds since 1970."""


@dataclass(frozen=True)
class Trouble:
    """A fault at request number `at`, counted from 1; with `lasting`, every later request fails as `unheard`.

    `unheard`: the connection is cut before the request is processed. `unanswered`: processed, but cut before the
    answer. `torn`: an upload or an answer cut in the middle. Otherwise an HTTP status, such as `502`, `429` (rate
    limit with Retry-After) or `403` (rate limit with X-RateLimit-Reset).
    """

    at: int = 0
    kind: str = "unheard"
    lasting: bool = True


@dataclass
class RunningGitHub:
    """A running fake. `log` has a line for each request; `before` and `after` are called with each request."""

    world: FakeGitHub
    trouble: Trouble = field(default_factory=Trouble)
    log: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    before: Callable[[Request], None] = lambda _: None
    after: Callable[[Request], None] = lambda _: None
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point programs at this GitHub, named as in Actions."""
        return {"GITHUB_SERVER_URL": self.world.server, "GITHUB_API_URL": self.world.api}

    def respond(self, request: Request) -> Answer | None:
        """Answer a request, or return None to cut the connection. Requests are processed one at a time."""
        with self.turn:
            self.log.append(f"{request.method} {request.path}")
            self.authorizations.append(request.headers.get("authorization", ""))
            kind = self._trouble_of(len(self.log))
            if kind == "unheard":
                return None
            if kind.isdigit():
                return _refusal(int(kind))
            if kind == "torn" and request.path.startswith("/uploads/"):
                self._leave_starter(request)
                return None
            self.before(request)
            answer = self._git(request) if ".git/" in request.path else self.world.answer(request)
            self.after(request)
            if kind == "torn":
                return answer._replace(torn=True)
            return None if kind == "unanswered" else answer

    def _trouble_of(self, number: int) -> str:
        if number == self.trouble.at:
            return self.trouble.kind
        return "unheard" if self.trouble.lasting and 0 < self.trouble.at < number else ""

    def _leave_starter(self, request: Request) -> None:
        half = request._replace(body=request.body[: len(request.body) // 2])
        if self.world.answer(half).status == 201:
            number = int(request.path.split("/")[-2])
            for repository in self.world.repositories.values():
                with contextlib.suppress(RefusedError):
                    asset = repository.release(number).assets[-1]
                    asset.state, asset.content = "starter", b""

    def _git(self, request: Request) -> Answer:
        """Pass a request on to `git http-backend`; a push needs a token with write access."""
        service = request.query.get("service", "") + request.path
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        token = base64.b64decode(credentials).decode().partition(":")[2] if scheme.lower() == "basic" else ""
        right = self.world.tokens.get(token, "refused" if token else "nothing")
        if right == "refused" or ("receive-pack" in service and right == "nothing"):
            return Answer(401, b"Bad credentials", (("WWW-Authenticate", 'Basic realm="GitHub"'),))
        if "receive-pack" in service and right != "write":
            return Answer(403, b"Write access to repository not granted.")
        root = next(iter(self.world.repositories.values())).git.parents[1]
        return run_backend(request, root)


def _refusal(status: int) -> Answer:
    limits = {429: (("Retry-After", "7"),), 403: (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", f"{NOW + 9}"))}
    body = json.dumps({"message": "API rate limit exceeded" if status in limits else "Server Error"}).encode()
    return Answer(status, body, (("Content-Type", "application/json"), *limits.get(status, ())))


def make_repository(folder: Path, name: str) -> Path:
    """Create the bare repository `owner/name` below `folder`, with one commit on main, unless it exists."""
    git = folder / f"{name}.git"
    if not git.is_dir():
        subprocess.run(["git", "init", "-q", "--bare", "--template=", "-b", "main", str(git)], check=True)
        first = b"commit refs/heads/main\ncommitter a <a@example.invalid> 1767225600 +0000\ndata 5\nFirst"
        subprocess.run(["git", "-C", str(git), "fast-import", "--quiet"], input=first, check=True)
    return git


@contextlib.contextmanager
def github_at(folder: Path, names: Sequence[str], tokens: dict[str, str]) -> Iterator[RunningGitHub]:
    """Serve a GitHub with these repositories (below `folder`) and tokens until the context exits."""
    repositories = {name: FakeRepository(name, make_repository(folder, name)) for name in names}
    world = FakeGitHub(repositories, tokens)
    running = RunningGitHub(world)
    with listening(Listener(running.respond, NOW)) as server, listening(Listener(running.respond, NOW)) as storage:
        world.server, world.storage = server, storage
        yield running


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a fake GitHub on this machine.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repository", action="append", required=True)
    parser.add_argument("--token", action="append", default=[])
    options = parser.parse_args()
    tokens = dict.fromkeys(options.token, "write")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with github_at(options.folder, options.repository, tokens) as running:
        print(json.dumps({**running.environment, "pid": os.getpid()}), flush=True)  # noqa: T201 - a program's result
        stop.wait()


if __name__ == "__main__":
    main()

"""A tap's remote git repository: read and change one file by commits, without a work tree.

Credentials are passed to git in its environment only, never in arguments or URLs.
"""

import base64
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import TapError, TokenError, UnavailableError
from stigmer_packaging.publish.github import GitHub

_REFUSED_TOKEN = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|error: 40[13]|Permission denied|Permission to \S+ denied",
)
_REJECTED = re.compile(
    r"\[rejected\]|\[remote rejected\].*(?:cannot lock ref|failed to update ref|reference already exists)"
)

_FAULT = re.compile(r"\[remote rejected\].*\((?:failure|Internal Server Error)\)")
"""GitHub's servers could not carry out a push; no rule forbids it."""


@dataclass(frozen=True)
class Tap:
    """The repository at the URL `remote`, whose `branch` brew reads; `host` is GitHub's API for it.

    `scratch` is a local bare repository for it, created by open_tap; `env` is git's complete environment.
    """

    remote: str
    branch: str
    scratch: Path
    env: Mapping[str, str] = field(repr=False)
    host: GitHub

    def head(self, *, full_history: bool = False) -> str:
        """Fetch the branch that brew reads, with all its commits if `full_history`, and return its newest one."""
        if head := self.fetch(self.branch, full_history=full_history):
            return head
        remedy = "name the branch that brew reads: --tap-branch BRANCH"
        raise TapError(f"{self.remote} has no branch {self.branch}", remedy)

    def fetch(self, branch: str, *, full_history: bool = False) -> str:
        """Fetch a branch and return its newest commit, or an empty string if there is no such branch."""
        depth = () if full_history else ("--depth=1",)
        if full_history and (self.scratch / "shallow").is_file():
            depth = ("--unshallow",)
        ref = f"refs/heads/{branch}"
        try:
            self._run_remote(["fetch", "--quiet", "--no-tags", *depth, self.remote, f"+{ref}:{ref}"])
        except UnavailableError as error:
            if "couldn't find remote ref" in str(error):
                return ""
            raise
        return self._run(["rev-parse", ref]).stdout.strip()

    def read(self, commit: str, path: str) -> str | None:
        """Return the text of a file in a commit, or None if there is no such file."""
        found = self._run(["cat-file", "blob", f"{commit}:{path}"], check=False)
        return found.stdout if found.code == 0 else None

    def history(self, commit: str, path: str) -> tuple[str, ...]:
        """Return the commits up to `commit` that changed a file, newest first."""
        return tuple(self._run(["log", "--format=%H", "--first-parent", commit, "--", path]).stdout.split())

    def commit(self, parent: str, path: str, text: str, message: str) -> str:
        """Create a commit on `parent` that only changes the text of this file, and return its hash."""
        index = {**self.env, "GIT_INDEX_FILE": str(self.scratch / "index.tap")}
        blob = self._run(["hash-object", "-w", "--stdin"], stdin=text).stdout.strip()
        self._run(["read-tree", parent], env=index)
        self._run(["update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"], env=index)
        tree = self._run(["write-tree"], env=index).stdout.strip()
        return self._run(["commit-tree", tree, "-p", parent, "-F", "-"], stdin=message).stdout.strip()

    def push(self, commit: str, branch: str, *, dry_run: bool = False) -> bool:
        """Push a commit to a branch without force; return False if the branch has changed in the meantime.

        With `dry_run`, only check that the push is permitted. TapError if the rules of the tap forbid it.
        """
        dry = ("--dry-run",) if dry_run else ()
        arguments = ["push", "--porcelain", *dry, self.remote, f"{commit}:refs/heads/{branch}"]
        try:
            self._run_remote(arguments)
        except TapError as error:
            if _REJECTED.search(str(error)):
                return False
            raise
        return True

    def _run_remote(self, arguments: Sequence[str]) -> None:
        result = self._run(arguments, check=False)
        if result.code == 0:
            return
        message = f"{self.remote}: git {arguments[0]} failed:\n{(result.stdout + result.stderr).strip()}"
        if _REFUSED_TOKEN.search(message):
            raise TokenError(f"{message}\nthe tap refuses the token or key")
        if re.search(r"repository '[^']*' not found|Repository not found", message):
            raise TapError(message, "correct the tap in the manifest; a token without access to it gets the same error")
        if "rejected]" in message and not _FAULT.search(message):
            raise TapError(message, "if the branch is protected, propose the change: --pull-request")
        raise UnavailableError(message)

    def _run(
        self, arguments: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: str = "", check: bool = True
    ) -> command.Completed:
        return command.run(["git", "-C", self.scratch, *arguments], env=env or self.env, stdin=stdin, check=check)


def open_tap(remote: str, branch: str, scratch: Path, env: Mapping[str, str], host: GitHub) -> Tap:
    """Create the bare repository in which a tap's commits are made."""
    command.run(["git", "init", "--quiet", "--bare", "--template=", scratch], env=env)
    return Tap(remote, branch, scratch, env, host)


def git_environment(env: Mapping[str, str], author: str) -> dict[str, str]:
    """Return git's environment: no prompts, no settings of this machine's user, commits by `author`."""
    name = {"GIT_AUTHOR_NAME": author, "GIT_COMMITTER_NAME": author}
    address = dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "noreply@github.com")
    return {**env, **name, **address, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull}


def with_token(env: Mapping[str, str], server: str, token: str) -> dict[str, str]:
    """Add a token for all repositories of a server, as the same header that Actions' own checkout sends."""
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    settings = (("credential.helper", ""), (f"http.{server}/.extraHeader", f"Authorization: Basic {basic}"))
    pairs = {f"GIT_CONFIG_KEY_{i}": key for i, (key, _) in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{i}": value for i, (_, value) in enumerate(settings)}
    return {**env, "GIT_CONFIG_COUNT": str(len(settings)), **pairs, **values}


def with_deploy_key(
    env: Mapping[str, str], key: str, host: str, host_keys: Sequence[str], folder: Path
) -> dict[str, str]:
    """Add a deploy key for ssh, written to `folder` with mode 0600; only the given host keys are trusted."""
    private, known_hosts = folder / "deploy-key", folder / "known-hosts"
    private.touch(mode=0o600)
    private.write_text(key.strip() + "\n", encoding="ascii")
    known_hosts.write_text("".join(f"{host} {line}\n" for line in host_keys), encoding="ascii")
    argv = ["ssh", "-F", os.devnull, "-i", str(private), "-o", f"UserKnownHostsFile={known_hosts}"]
    options = ("IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "BatchMode=yes", "ConnectTimeout=30")
    argv += [word for option in options for word in ("-o", option)]
    return {**env, "GIT_SSH_COMMAND": shlex.join(argv)}

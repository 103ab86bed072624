"""GitHub's address, credentials and the current run, read from the environment; opens a tap with them.

The variables have the names that Actions uses; tokens are passed only to GitHub and git.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from stigmer_packaging.cli.options import ROOT
from stigmer_packaging.cli.output import print_progress
from stigmer_packaging.lib import environment, git
from stigmer_packaging.lib.errors import TokenError
from stigmer_packaging.publish import tap as taps
from stigmer_packaging.publish.github import API, PUBLIC, Access, GitHub


def access(name: str = "GITHUB_TOKEN") -> Access:
    """Return access to GitHub by the token in the variable `name`; TokenError, without its value, if it is invalid."""
    token = os.environ.get(name, "")
    if not token.strip():
        raise TokenError(f"{name} is empty", f"set {name}; a secret of another name or environment is empty, too")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise TokenError(f"{name} contains a space, a line break or another character that no token has")
    return Access(token, os.environ.get("GITHUB_API_URL", API).rstrip("/"), server(), print_progress)


def server() -> str:
    """Return the base URL of GitHub's pages and repositories."""
    return os.environ.get("GITHUB_SERVER_URL", PUBLIC).rstrip("/")


def tag() -> str:
    """Return the tag that triggered this run, or an empty string."""
    return os.environ.get("GITHUB_REF_NAME", "") if os.environ.get("GITHUB_REF_TYPE") == "tag" else ""


def commit() -> str:
    """Return the commit that is released: the run's, or this checkout's."""
    sha = os.environ.get("GITHUB_SHA")
    return sha or git.resolve(ROOT, "HEAD", env=environment.build_environment(os.environ))


@contextmanager
def open_tap(repository: str, tap: str, branch: str) -> Iterator[taps.Tap]:
    """Open a tap with its credentials: the job's token if it is this repository itself, else its own token or key."""
    env = taps.git_environment(environment.build_environment(os.environ), "Release")
    key = os.environ.get("TAP_DEPLOY_KEY", "") if repository != tap else ""
    host = GitHub(access("GITHUB_TOKEN" if repository == tap or key else "TAP_TOKEN"), tap)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if key:
            ssh_host = urlsplit(server()).hostname or ""
            env = taps.with_deploy_key(env, key, ssh_host, host.retry(host.host_keys), scratch)
            remote = f"git@{ssh_host}:{tap}.git"
        else:
            env = taps.with_token(env, server(), host.access.token)
            remote = f"{server()}/{tap}.git"
        yield taps.open_tap(remote, branch, scratch / "tap.git", env, host)

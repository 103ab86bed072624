"""What the environment says of GitHub and of who we are there, and how a tap is opened with it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stigmer_packaging.cli.options import ROOT
from stigmer_packaging.cli.output import tell
from stigmer_packaging.lib import environment, git
from stigmer_packaging.publish import tap as taps
from stigmer_packaging.publish.github import API, PUBLIC, Access, GitHub, refuse_bad_token


@dataclass(frozen=True)
class CIEnvironment:
    """What the environment says, in the names that Actions uses; tokens never leave it but towards GitHub and git."""

    environ: Mapping[str, str] = field(repr=False)

    def access(self, name: str = "GITHUB_TOKEN") -> Access:
        """Give access to GitHub by the token in the variable `name`; TokenError when there is none."""
        token = self.environ.get(name, "")
        refuse_bad_token(token, name)
        api = self.environ.get("GITHUB_API_URL", API).rstrip("/")
        return Access(token, api, self.server, tell)

    @property
    def server(self) -> str:
        """Where GitHub's pages and repositories are."""
        return self.environ.get("GITHUB_SERVER_URL", PUBLIC).rstrip("/")

    @property
    def tag(self) -> str:
        """The tag that started this run, or nothing."""
        return self.environ.get("GITHUB_REF_NAME", "") if self.environ.get("GITHUB_REF_TYPE") == "tag" else ""

    def commit(self) -> str:
        """Give the commit that is released: the run's, or this checkout's."""
        if named := self.environ.get("GITHUB_SHA"):
            return named
        return git.resolve(ROOT, "HEAD", env=environment.build_environment(self.environ))


@contextmanager
def open_place(repository: str, tap: str, branch: str, seen: CIEnvironment) -> Iterator[taps.Tap]:
    """Open a tap with the credentials for it: the job's token for this repository itself, else its own token or key."""
    env = taps.git_environment(environment.build_environment(seen.environ), "Release")
    key = seen.environ.get("TAP_DEPLOY_KEY", "") if repository != tap else ""
    access = seen.access("GITHUB_TOKEN" if repository == tap or key else "TAP_TOKEN")
    host = GitHub(access, tap)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if key:
            ssh_host = urlsplit(seen.server).hostname or ""
            env = taps.with_deploy_key(env, key, ssh_host, host.persist(host.host_keys), scratch)
            remote = f"git@{ssh_host}:{tap}.git"
        else:
            env = taps.with_token(env, seen.server, access.token)
            remote = f"{seen.server}/{tap}.git"
        yield taps.open_tap(remote, branch, scratch / "tap.git", env, host)

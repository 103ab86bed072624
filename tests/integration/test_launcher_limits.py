"""The limit of open files: raised for the services, or an error that says what to raise."""

import functools
import resource
from pathlib import Path

import pytest

from support.launcher_services import Done, Stigmer, stigmer


def limited(launcher: Stigmer, soft: int, hard: int, *arguments: str) -> Done:
    """Run a command with a limit of open files."""
    process = launcher.popen(
        *arguments, preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    )
    out, err = process.communicate(timeout=60)
    return Done(process.returncode, out, err)


def soft_limit(pid: int) -> int:
    """Give a process's soft limit of open files."""
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="other processes' limits can be read on Linux only")
@pytest.mark.parametrize(("soft", "hard", "raised"), [(32, 4096, 4096), (32, 1024, 1024), (256, 20000, 10240)])
def test_a_low_soft_limit_is_raised_for_the_services(tmp_path: Path, soft: int, hard: int, raised: int) -> None:
    """No higher than useful: some programs close every number up to the limit."""
    with stigmer(tmp_path) as launcher:
        done = limited(launcher, soft, hard, "server")
        assert done.code == 0, done.err
        assert {soft_limit(each["pid"]) for each in launcher.status()["services"]} == {raised}


@pytest.mark.parametrize("words", ["server", "server --foreground"])
def test_a_low_hard_limit_is_an_error_that_says_what_to_raise(tmp_path: Path, words: str) -> None:
    with stigmer(tmp_path) as launcher:
        done = limited(launcher, 64, 64, *words.split())
        assert done.code == 1
        assert "only 64 files may be open at a time (hard limit); the services need 256" in done.err
        assert "LimitNOFILE=10240" in done.err
        assert launcher.services() == []


def test_a_limit_that_suffices_is_left_alone(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        assert limited(launcher, 15000, 20000, "server").code == 0
        assert {soft_limit(each["pid"]) for each in launcher.status()["services"]} == {15000}


def test_other_commands_do_not_need_many_files(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        launcher.started()
        assert limited(launcher, 32, 32, "server", "status").code == 0
        assert limited(launcher, 32, 32, "server", "stop").code == 0

"""The limit of open files: raised for the services, or an error that says what to raise."""

import functools
import resource

import pytest

from support.launcher_services import Done, Stigmer


def limited(launcher: Stigmer, soft: int, hard: int, *arguments: str) -> Done:
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    return launcher(*arguments, preexec_fn=limit)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can read the limits of other processes")
@pytest.mark.parametrize(
    ("soft", "hard", "raised"), [(32, 4096, 4096), (32, 1024, 1024), (256, 20000, 10240), (15000, 20000, 15000)]
)
def test_a_low_soft_limit_is_raised_for_the_services(launcher: Stigmer, soft: int, hard: int, raised: int) -> None:
    """Only as far as useful, as some programs close every number up to the limit. A sufficient limit is unchanged."""
    done = limited(launcher, soft, hard, "server")
    assert done.code == 0, done.err
    assert {resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] for pid in launcher.pids().values()} == {raised}


@pytest.mark.parametrize("words", ["server", "server --foreground"])
def test_a_low_hard_limit_is_an_error_that_says_what_to_raise(launcher: Stigmer, words: str) -> None:
    done = limited(launcher, 64, 64, *words.split())
    assert done.code == 1
    assert "only 64 files may be open at a time (hard limit); the services need 256" in done.err
    assert "LimitNOFILE=10240" in done.err
    assert launcher.children() == []


def test_other_commands_do_not_need_many_files(running: Stigmer) -> None:
    assert limited(running, 32, 32, "server", "status").code == 0
    assert limited(running, 32, 32, "server", "stop").code == 0


def test_a_restart_with_a_low_hard_limit_leaves_the_running_server_alone(running: Stigmer) -> None:
    before = running.pids()
    done = limited(running, 64, 64, "server", "restart")
    assert done.code == 1
    assert "only 64 files may be open at a time (hard limit)" in done.err
    assert running.pids() == before

"""Homes and shells whose paths and variables are special to other programs: two starts in each, no file outside."""

import contextlib
import os
import resource
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.hostile_places import HOSTILE_NAMES, assert_starts_twice, temporal_only
from support.launcher_payloads import build_libexec
from support.launcher_services import Stigmer

MORE_HOMES = (
    *HOSTILE_NAMES,
    "%2e%2e",
    "..#..",
    "a+b@c",
    "{home}",
    "{llm.api_key}",
    "{",
    "-db",
    "--",
    "~",
    "~root",
    "*",
    "[a]",
    "a\\b",
    "tab\there",
    "bell\a",
    "esc\x1b[31m",
    " lead",
    "trail ",
    "e\u0301",
    "\u202eltr",
    "🦊",
    "a|b>c<d",
    "(x)",
    "!x",
    "a=b",
    "x\r",
    "end\n",
    "%s%n%(home)s",
    "$(touch pwned)",
    "C:\\dir",
    "a,b:c",
    "\u00a0\u2028\u200b",
    "\x01\x7f",
    "n" * 255,
    "/".join("d" * 100),  # SQLite opens paths of up to 512 bytes
)
# Other names of one home.
SPELLINGS = ("{0}/", "{0}//.", "{1}//{2}", "{1}/not-there/../{2}", "//{0}", "{1}/link")
ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {"TEMPORAL_NAMESPACE": "prod.x"},
    {"TEMPORAL_ENV": "prod", "TEMPORAL_ENV_FILE": "/nonexistent"},
    {"TEMPORAL_ADDRESS": "prod.example:7233", "TEMPORAL_TLS": "true"},
    {"TEMPORAL_CONFIG_FILE": "/nonexistent/temporal.toml", "TEMPORAL_PROFILE": "prod"},
    {"TEMPORAL_NAMESPACE": "", "TEMPORAL_SERVICE_ADDRESS": ""},
    {"PYTHONEXECUTABLE": "/nonexistent/python", "__PYVENV_LAUNCHER__": "/nonexistent/python"},
    {"LANG": "xx_XX.UTF-8", "LC_ALL": "C"},
    {"LC_ALL": "POSIX", "LC_CTYPE": "C"},
    {"TZ": ":/nonexistent"},
    {"TMPDIR": "/nonexistent"},
    {"XDG_CONFIG_HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"},
    {"GRPC_PORT": "1", "DB_PATH": "/nonexistent/x.db", "PORT": "1"},
    {"STIGMER_RUN": "somebody-elses"},
    {"TERM": "", "COLUMNS": "0", "LINES": "-1"},
    {"TERM": "bogus", "COLUMNS": "x", "NO_COLOR": "1"},
    {"SQLITE_TMPDIR": "/nonexistent"},
    {"GODEBUG": "netdns=bogus", "GOMAXPROCS": "x"},
    {"HOME": "relative", "USER": "", "LOGNAME": ""},
    {"LANG": "\udcff", "X\udcff": "\udcff"},
    {"HUGE": "x" * 100_000},
    {
        "HTTP_PROXY": "http://nowhere.invalid:1",
        "ALL_PROXY": "socks5://nowhere.invalid:1",
        "grpc_proxy": "nowhere.invalid",
    },
    {"XPC_SERVICE_NAME": "0", "INVOCATION_ID": "x", "NOTIFY_SOCKET": "/nonexistent", "LISTEN_FDS": "3"},
    {"STIGMER_HOME_": "x", "STIGMER_LLM_MODEL": "{home}", "STIGMER_LLM_BASE_URL": "http://[::1"},
)


def _ignore_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def _block_everything() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _ignore_everything() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):  # those of the C library
            signal.signal(number, signal.SIG_IGN)


def _leave_no_directory() -> None:
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)  # noqa: PTH106 - in a forked process, as little as possible


def _open_many() -> None:
    for _ in range(200):
        os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


PROCESSES: dict[str, dict[str, Any]] = {
    "umask 077": {"umask": 0o077},
    "umask 0": {"umask": 0},
    "its directory removed": {"preexec_fn": _leave_no_directory, "cwd": None},
    "ended children ignored": {"preexec_fn": _ignore_children},
    "signals blocked": {"preexec_fn": _block_everything},
    "signals ignored": {"preexec_fn": _ignore_everything},
    "many descriptors": {"preexec_fn": _open_many, "close_fds": False},
    "small stack": {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20))},
    "no core": {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))},
    "small files": {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 24, 1 << 24))},
    "a session of its own": {"start_new_session": True},
}


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a keg of a fake Temporal that opens its database as the real one does."""
    return build_libexec(tmp_path_factory.mktemp("fake"), temporal_only())


@pytest.mark.parametrize("name", MORE_HOMES)
def test_a_home_of_any_name_starts_twice_and_nothing_lies_outside(tmp_path: Path, fake: Path, name: str) -> None:
    with Stigmer(fake, tmp_path / name) as launcher:
        assert_starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_home_named_in_another_way_is_the_same_home(tmp_path: Path, fake: Path, spelling: str) -> None:
    home = tmp_path / "real" / "home"
    home.mkdir(parents=True)
    (tmp_path / "real" / "link").symlink_to("home")
    with Stigmer(fake, home, environment={"STIGMER_HOME": spelling.format(home, home.parent, home.name)}) as launcher:
        assert_starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_process_created_in_any_way_starts_twice(tmp_path: Path, fake: Path, kind: str) -> None:
    with Stigmer(fake, tmp_path / "home") as launcher:
        launcher.process |= PROCESSES[kind]
        assert_starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=",".join)
def test_a_shell_of_any_kind_starts_twice(tmp_path: Path, fake: Path, environment: dict[str, str]) -> None:
    """Settings of other programs do not affect the managed stack."""
    with Stigmer(fake, tmp_path / "home", environment=environment) as launcher:
        assert_starts_twice(launcher, tmp_path)


def test_a_home_that_is_not_utf_8_is_refused_before_anything_is_created(tmp_path: Path, fake: Path) -> None:
    """Neither logs nor JSON could contain its name."""
    refused = Stigmer(fake, tmp_path / os.fsdecode(b"caf\xe9"))("server")
    assert refused.code == 1
    assert "the path of the home is not UTF-8 text: " in refused.err
    assert "caf\\xe9" in refused.err
    assert "Traceback" not in refused.err
    assert list(tmp_path.iterdir()) == []

"""Homes whose paths mean something to other programs, and shells whose variables do: two starts in each, nothing outside."""

import contextlib
import os
import resource
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.hostile_places import lone_temporal, starts_twice
from support.launcher_checks import listens
from support.launcher_payloads import build_libexec
from support.launcher_services import Stigmer, end
from support.reference_stack import reference_keg

DOZEN = (
    "c#",
    "p #1",
    "a?mode=memory",
    "a?vfs=none#b",
    "100%",
    "%41b%00",
    "file:x",
    ":memory:",
    "a b&c;d=e",
    "q'\"$HOME`id`",
    "two\nlines",
    "größe-日本語",
)
MORE_HOMES = (
    *DOZEN,
    "#",
    "?",
    "%",
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
    "a\\nb",
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
    "#!",
    "%s%n%(home)s",
    "$(touch pwned)",
    "${HOME}",
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


def _run(home: Path, libexec: Path, environment: dict[str, str]) -> Iterator[Stigmer]:
    launcher = Stigmer(libexec, home, environment=environment)
    try:
        yield launcher
    finally:
        end(launcher)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a keg of the real Temporal alone, run as the manifest says."""
    return reference_keg(tmp_path_factory.mktemp("real"), "temporal")


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a keg of a fake Temporal that opens its database as the real one does."""
    return build_libexec(tmp_path_factory.mktemp("fake"), lone_temporal())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", DOZEN)
def test_temporal_keeps_its_database_in_a_home_of_any_name(tmp_path: Path, real: Path, name: str) -> None:
    """Its option is a URI to SQLite: once `c#` had its database in `c`."""
    for launcher in _run(tmp_path / name / "home", real, {}):
        starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("name", MORE_HOMES)
def test_a_home_of_any_name_starts_twice_and_nothing_lies_outside(tmp_path: Path, fake: Path, name: str) -> None:
    """With a fake that reads its database's name as Temporal does."""
    for launcher in _run(tmp_path / name, fake, {}):
        starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_home_named_in_another_way_is_the_same_home(tmp_path: Path, fake: Path, spelling: str) -> None:
    home = tmp_path / "real" / "home"
    home.mkdir(parents=True)
    (tmp_path / "real" / "link").symlink_to("home")
    for launcher in _run(home, fake, {"STIGMER_HOME": spelling.format(home, home.parent, home.name)}):
        starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_process_made_in_any_way_starts_twice(tmp_path: Path, fake: Path, kind: str) -> None:
    """What a parent does to its children: limits, masks, descriptors, a directory that is gone."""
    for launcher in _run(tmp_path / "home", fake, {}):
        launcher.process |= PROCESSES[kind]
        starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=",".join)
def test_a_shell_of_any_kind_starts_twice(tmp_path: Path, fake: Path, environment: dict[str, str]) -> None:
    """What other programs are told does not reach the managed stack."""
    for launcher in _run(tmp_path / "home", fake, environment):
        starts_twice(launcher, tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("text", ["{broken", "env:\n  default:\n    headless: true\n    log-level: bogus\n"])
def test_temporals_own_settings_file_does_not_steer_the_managed_one(tmp_path: Path, real: Path, text: str) -> None:
    """The user's `temporal env` is for the user's `temporal`; its UI would not be served."""
    settings = tmp_path / ".config" / "temporalio" / "temporal.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(text)
    for launcher in _run(tmp_path / "home", real, {}):
        launcher.started()
        assert listens(launcher.status()["ports"]["temporal-ui"])
        assert launcher("server", "stop").code == 0
        starts_twice(launcher, tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "environment",
    [{"TEMPORAL_NAMESPACE": "prod.x"}, {"TEMPORAL_ADDRESS": "prod.example:7233", "TEMPORAL_ENV": "prod"}],
    ids=",".join,
)
def test_the_shell_of_a_user_of_another_temporal_does_not_steer_the_managed_one(
    tmp_path: Path, real: Path, environment: dict[str, str]
) -> None:
    """Its namespace was once asked of ours, which has it not, until the start gave up."""
    for launcher in _run(tmp_path / "home", real, environment):
        starts_twice(launcher, tmp_path)


def test_a_home_that_is_no_text_is_refused_before_anything_is_made(tmp_path: Path, fake: Path) -> None:
    """Neither logs nor JSON could name it."""
    for launcher in _run(tmp_path / os.fsdecode(b"caf\xe9"), fake, {}):
        refused = launcher("server")
        assert refused.code == 1
        assert "the path of the home is not UTF-8 text: " in refused.err
        assert "caf\\xe9" in refused.err
        assert "Traceback" not in refused.err
    assert list(tmp_path.iterdir()) == []

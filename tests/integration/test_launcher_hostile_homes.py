"""Homes whose paths mean something to other programs, and shells whose variables do: two starts in each, nothing outside."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_launcher.install.payload import Proof, Readiness
from support.launcher_checks import listens
from support.launcher_payloads import build_libexec, part
from support.launcher_services import PROGRAM, Stigmer, end, free_ports
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
)
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
)


def _run(home: Path, libexec: Path, environment: dict[str, str]) -> Iterator[Stigmer]:
    launcher = Stigmer(libexec, home, environment=environment)
    try:
        yield launcher
    finally:
        end(launcher)


def starts_twice(launcher: Stigmer, around: Path) -> None:
    """Start and stop two times; the database is in the home, and nothing has come to lie outside of it."""
    before = _outside(around, launcher.home)
    for _ in range(2):
        launcher.started()
        stopped = launcher("server", "stop")
        assert stopped.code == 0, stopped.err
    assert (launcher.home / "temporal-data" / "temporal.db").stat().st_size > 0
    assert _outside(around, launcher.home) == before
    logs = "".join(path.read_text(errors="replace") for path in (launcher.home / "logs").glob("*.log"))
    assert "Traceback" not in logs


def _outside(around: Path, home: Path) -> list[str]:
    return sorted(str(path) for path in around.rglob("*") if not path.is_relative_to(home) and path not in home.parents)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a keg of the real Temporal alone, run as the manifest says."""
    return reference_keg(tmp_path_factory.mktemp("real"), "temporal")


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a keg of a fake Temporal that opens its database as the real one does."""
    (port,) = free_ports(1)
    one = part(
        "temporal",
        program=PROGRAM,
        arguments=("FakeTemporal", "port={port.temporal}"),
        environment=(("DATABASE", "{home.relative}/temporal-data/temporal.db"),),
        ports=(("temporal", port),),
        readiness=Readiness(20.0, (Proof("temporal", "temporal"),)),
        external="TEMPORAL_SERVICE_ADDRESS",
    )
    return build_libexec(tmp_path_factory.mktemp("fake"), (one,))


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

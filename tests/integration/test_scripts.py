"""The scripts that developers run: the environment is created completely or not at all, and a failed step is named."""

import hashlib
import importlib
import os
import platform
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from stigmer_packaging.pipeline.system import read_platform
from support.native_code import place
from support.wheels import make_wheel, pip_offline

SCRIPTS = Path(__file__).parents[2] / "scripts"
PRINT_PYTHON = '. "$(dirname -- "$0")/environment"; echo "$python"'
FAKE_PYTHON = """#!/bin/sh
echo "$PYTHONPATH|$*" >> "{log}"
case "$*" in *"{failing}"*) exit 1 ;; esac
case "$*" in *"stigmer_packaging.cli go") ! [ -e "{go}" ] || echo "{go}" ;; esac
case "$*" in *bootstrap.py*) echo "$0" ;; *"-m pytest"*) [ ! -e "{go}" ] || command -v go ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with the scripts and a lock of one small distribution."""
    root = tmp_path / "a checkout"
    root.mkdir()
    shutil.copytree(SCRIPTS, root / "scripts")
    here = str(read_platform(platform.system(), platform.machine()))
    wheel = make_wheel(tmp_path, here, {"tool.py": b"ANSWER = 42\n"})
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (root / "requirements.lock").write_text(f"tool==1.0 --hash=sha256:{sha256}\n", encoding="ascii")
    return root


def surroundings(checkout: Path, **more: str) -> dict[str, str]:
    """Return environment variables with a separate cache, with which pip uses no index."""
    cache = str(checkout.parent / "cache")
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**pip_offline(checkout.parent, search), "XDG_CACHE_HOME": cache, **more}


def find_python(checkout: Path, **more: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", "-euc", PRINT_PYTHON, str(checkout / "scripts" / "release")]
    env = surroundings(checkout, **more)
    return subprocess.run(words, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=100)


def test_the_environment_is_created_completely_and_only_once_after_a_killed_run(
    checkout: Path, bootstrap: ModuleType
) -> None:
    key = bootstrap.key_of((checkout / "requirements.lock").read_bytes())
    place = checkout.parent / "cache/stigmer-packaging/python" / key
    for left in (place / "lib", place.with_suffix(".part") / "bin"):
        left.mkdir(parents=True)
    first = find_python(checkout)
    assert (first.returncode, first.stderr) == (0, ""), "progress is printed only on a terminal"
    assert first.stdout.strip() == str(place / "bin" / "python")
    words = [place / "bin" / "python", "-c", "import tool; print(tool.ANSWER)"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "42\n"
    created = place.stat().st_ino
    assert find_python(checkout).stdout == first.stdout
    assert place.stat().st_ino == created, "a complete environment is not created again"


def test_a_failed_installation_leaves_nothing_that_passes_for_an_environment(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text(f"tool==1.0 --hash=sha256:{'0' * 64}\n", encoding="ascii")
    done = find_python(checkout)
    assert done.returncode == 3
    assert done.stderr.startswith("Error: ")
    assert "\nHint: " in done.stderr
    created = (checkout.parent / "cache/stigmer-packaging/python").iterdir()
    assert {path.suffix for path in created} == {".lock", ".part"}


def test_a_checkout_with_a_colon_in_its_path_is_refused(checkout: Path) -> None:
    odd = checkout.rename(checkout.with_name("a:b"))
    done = find_python(odd)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"Error: {odd} contains a colon" in done.stderr
    assert "\nHint: move the checkout" in done.stderr


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_missing_home_is_taken_from_the_password_database(home: str, checkout: Path) -> None:
    """As in a systemd timer: Go and pip have their caches there."""
    print_home = PRINT_PYTHON.replace("$python", "$HOME")
    words = ["sh", "-euc", print_home, str(checkout / "scripts" / "release")]
    env = surroundings(checkout, HOME=home)
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert (done.stdout.strip(), done.stderr) == (pwd.getpwuid(os.getuid()).pw_dir, "")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"HOME": ""}, "Error: HOME is empty, not an absolute path\nHint: set HOME"),
        ({"HOME": "relative"}, "Error: HOME is relative, not an absolute path\nHint: set HOME"),
        ({"XDG_CACHE_HOME": "/proc"}, "Hint: free disk space or fix the permissions"),
    ],
)
def test_an_unusable_cache_is_reported_without_a_traceback(
    variables: dict[str, str], message: str, checkout: Path
) -> None:
    words = [sys.executable, "-I", str(checkout / "scripts/bootstrap.py")]
    done = subprocess.run(words, env=variables, cwd=checkout, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 3
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_pips_variables_do_not_redirect_the_installation(checkout: Path, tmp_path: Path) -> None:
    found = find_python(checkout, PIP_TARGET=str(tmp_path / "elsewhere"))
    assert (found.returncode, found.stderr) == (0, "")
    subprocess.run([found.stdout.strip(), "-c", "import tool"], check=True)


def test_an_environment_into_which_pip_installed_nothing_is_an_error(checkout: Path, tmp_path: Path) -> None:
    """A pip configuration file names another directory."""
    (tmp_path / "pip.conf").write_text(f"[install]\ntarget = {tmp_path}/elsewhere\n", encoding="utf-8")
    found = find_python(checkout, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert found.returncode == 3
    assert "pip installed nothing of the lock there" in found.stderr
    created = (checkout.parent / "cache/stigmer-packaging/python").iterdir()
    assert {path.suffix for path in created} == {".lock", ".part"}


def test_another_lock_gets_its_own_environment_when_it_is_named(checkout: Path, bootstrap: ModuleType) -> None:
    assert bootstrap.key_of(b"one") != bootstrap.key_of(b"two")
    (checkout / "requirements.lock").rename(checkout / "requirements-docs.lock")
    words = [sys.executable, "-I", str(checkout / "scripts/bootstrap.py"), "requirements-docs.lock"]
    created = subprocess.run(words, env=surroundings(checkout), capture_output=True, text=True, check=True, timeout=100)
    subprocess.run([created.stdout.strip(), "-c", "import tool"], check=True)


def test_the_lack_of_a_new_enough_python_is_reported(checkout: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("sh", "dirname"):
        (bare / name).symlink_to(shutil.which(name) or "")
    place(bare / "python3", b"#!/bin/sh\nexit 1\n")
    done = find_python(checkout, PATH=str(bare))
    assert done.returncode == 3
    assert "Error: no Python 3.11 or newer on PATH\nHint: " in done.stderr


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("bootstrap")


@pytest.mark.parametrize(("user", "installs"), [(1000, False), (0, True)])
def test_debians_missing_venv_is_reported_to_users_and_installed_by_root(
    user: int,
    installs: bool,  # noqa: FBT001 - a parameter of the test
    bootstrap: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "log"
    place(tmp_path / "apt-get", f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >> {log}\n'.encode())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: user)
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if installs:
        bootstrap.require_venv()
        assert log.read_text(encoding="ascii").splitlines() == [
            "noninteractive --quiet update",
            f"noninteractive --quiet install --yes --no-install-recommends {package}",
        ]
    else:
        with pytest.raises(SystemExit, match="3"):
            bootstrap.require_venv()
        assert f"Hint: ask an administrator for: apt-get install {package}" in capsys.readouterr().err


def run_script(checkout: Path, name: str, *arguments: str, failing: str = "nothing") -> tuple[int, str, str, list[str]]:
    """Run a script with a Python that only records its arguments; return exit code, output and the record."""
    log = checkout / "log"
    text = FAKE_PYTHON.format(log=log, failing=failing, go=checkout / "pinned/go")
    fake = place(checkout / "fake-python", text.encode())
    (checkout / "scripts" / "environment").write_text(f"root='{checkout}'\npython='{fake}'\n", encoding="utf-8")
    words = [str(checkout / "scripts" / name), *arguments]
    env = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, cwd="/", env=env, capture_output=True, text=True, check=False, timeout=60)
    calls = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return done.returncode, done.stdout, done.stderr, calls


@pytest.mark.parametrize("name", ["release", "publish", "rollback"])
def test_a_script_passes_its_arguments_on_and_finds_its_code_from_anywhere(name: str, checkout: Path) -> None:
    code, _, _, calls = run_script(checkout, name, "--target", "a b", "--json")
    assert code == 0
    path = f"{checkout}/packaging:{checkout}/launcher"
    assert calls == [f"{path}|-P -m stigmer_packaging.cli {name} --target a b --json"]


def test_check_names_its_steps_and_stops_at_the_one_that_fails(checkout: Path) -> None:
    code, out, err, calls = run_script(checkout, "check", failing="mypy")
    assert code == 1
    assert out.splitlines()[:3] == ["== ruff format", "== ruff check", "== mypy"]
    assert err == "Error: mypy failed\n"
    assert len(calls) == 3


@pytest.mark.parametrize("pinned", [True, False])
def test_check_vets_with_the_go_that_packaging_selects_or_reports_the_skip(
    pinned: bool,  # noqa: FBT001 - a parameter of the test
    checkout: Path,
) -> None:
    """The Go on a hosted Ubuntu's PATH is older than the module requires."""
    if pinned:
        (checkout / "pinned").mkdir()
        place(checkout / "pinned/go", b'#!/bin/sh\necho "$GOTOOLCHAIN $*"\n')
    code, out, _, _ = run_script(checkout, "check")
    assert code == 0
    message = "local -C packaging/reference vet ./..." if pinned else "== Go: its checks are skipped, as no Go"
    assert [line for line in out.splitlines() if line.startswith(message)]
    assert out.endswith(f"== pytest\n{checkout}/pinned/go\n" if pinned else "== pytest\n"), "the tests use that Go"


@pytest.mark.parametrize(
    ("arguments", "tests"),
    [
        (["-k", "manifest"], "tests/architecture tests/unit tests/integration -k manifest"),
        (["--fast", "-x"], "tests/architecture tests/unit -x"),
        (["--all"], "tests"),
    ],
)
def test_check_runs_the_tests_last_and_passes_its_arguments_to_them(
    arguments: list[str], tests: str, checkout: Path
) -> None:
    code, out, _, calls = run_script(checkout, "check", *arguments)
    assert (code, out.splitlines()[-1]) == (0, "== pytest")
    assert calls[-1] == f"|-P -m pytest -n auto --dist worksteal -o testpaths={tests}"


def test_check_prints_its_usage_and_runs_nothing(checkout: Path) -> None:
    """Regression: `--help` was passed on to pytest, after minutes of other steps."""
    code, out, err, calls = run_script(checkout, "check", "--help")
    assert (code, err, calls) == (0, "", [])
    assert out.startswith("Usage: scripts/check [--fast|--all] ")


def test_a_fast_check_stops_at_format_lint_types_and_unit_tests(checkout: Path) -> None:
    _, out, _, _ = run_script(checkout, "check", "--fast")
    steps = [line for line in out.splitlines() if not line.startswith("== Go: ")]
    assert steps == ["== ruff format", "== ruff check", "== mypy", "== pytest"]


def test_uvs_python_is_used_and_installed_if_necessary(checkout: Path, bootstrap: ModuleType) -> None:
    """A stand-in for uv finds no Python before it has installed one; that one's environment exists already."""
    key = bootstrap.key_of((checkout / "requirements.lock").read_bytes())
    python = checkout.parent / "cache/stigmer-packaging/python" / key / "bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    text = f"""#!/bin/sh
echo "$*" >> "{checkout.parent}/asked"
case "$2" in
    install) touch "{checkout.parent}/installed" ;;
    find) [ -e "{checkout.parent}/installed" ] && echo "{sys.executable}" ;;
esac
"""
    uv = place(checkout.parent / "bin" / "uv", text.encode())
    found = find_python(checkout, UV_PYTHON="3.13", PATH=f"{uv.parent}{os.pathsep}/usr/bin:/bin")
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == str(python)
    calls = (checkout.parent / "asked").read_text(encoding="ascii").splitlines()
    find = "python find --no-project --managed-python 3.13"
    assert calls == [find, "python install --quiet --managed-python 3.13", find], "not just any 3.13 on PATH"

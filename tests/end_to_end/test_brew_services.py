"""`brew services` with a real Homebrew and the user's own systemd: `pytest -m brew`.

STIGMER_RELEASE is the release's directory (default: dist/). The service runs with its own home and ports, but in the
same unit as a user's server would; the tests are skipped if that unit exists.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from stigmer_packaging.lib.command import Completed, run
from stigmer_packaging.lib.loopback import free_port, serving
from stigmer_packaging.records.release import read_release
from stigmer_packaging.verify.brew.client import Brew
from stigmer_packaging.verify.brew.local_tap import replace_root_url
from support.real_brew import FULL, RELEASE, require_brew, require_release, tapped

UNIT = "homebrew.stigmer"
LOST = re.compile(r"connection (error|refused)|rpc errored", re.IGNORECASE)
PATIENCE = 120  # seconds for the server to come back

pytestmark = [pytest.mark.brew, pytest.mark.timeout(900)]


class Installed(NamedTuple):
    """The installed formula, whose service runs with `home`."""

    brew: Brew
    home: Path
    program: Path
    keg: Path

    def stigmer(self, *words: str) -> Completed:
        """Run the command as the user with that home does."""
        return run([self.program, *words], env=self.brew.env, seconds=300, check=False)

    def status(self) -> str:
        """Return the server's state."""
        return str(json.loads(self.stigmer("server", "status", "--json").stdout)["state"])

    def services(self, verb: str) -> Completed:
        """Run `brew services VERB stigmer`."""
        return self.brew.attempt("services", verb, "stigmer")

    def logs(self) -> dict[str, list[str]]:
        """Return the lines of each service's log."""
        files = (self.home / ".stigmer" / "logs").glob("*.log")
        return {file.stem: file.read_text(errors="replace").splitlines() for file in files}

    def stop_orders(self) -> dict[str, int]:
        """Return each service's stop order; the highest stops first."""
        index = json.loads((self.keg / "libexec" / "payload.json").read_text(encoding="utf-8"))
        return {part["name"]: part["stop_order"] for part in index["components"]}


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", "--user", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def unit(name: str) -> str:
    return systemctl("show", f"--property={name}", "--value", UNIT)


def require_user_systemd() -> None:
    if shutil.which("systemctl") is None or systemctl("is-system-running") not in ("running", "degraded"):
        pytest.skip("no systemd runs for this user")
    if unit("LoadState") != "not-found":
        pytest.skip(f"this user has the unit {UNIT} already")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Install the release with its unit in systemd's runtime directory, which is emptied at the next boot."""
    require_user_systemd()
    folder = tmp_path_factory.mktemp("services")
    brew = require_brew(folder / "home")
    require_release()
    kept = {name: os.environ[name] for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS") if name in os.environ}
    brew = brew._replace(env={**brew.env, **kept})
    units = Path(kept["XDG_RUNTIME_DIR"]) / "systemd" / "user"
    units.mkdir(parents=True, exist_ok=True)
    (folder / "home" / ".config" / "systemd").mkdir(parents=True)
    (folder / "home" / ".config" / "systemd" / "user").symlink_to(units)
    systemctl("set-environment", f"STIGMER_HOME={folder / 'home' / '.stigmer'}")
    try:
        with tapped(brew, folder / "tap") as tap, serving(RELEASE) as url:
            formula = (RELEASE / read_release(RELEASE).of_kind("formula")[0].name).read_text(encoding="utf-8")
            tap.publish("stigmer", replace_root_url(formula, url))
            brew.run("install", FULL)
            prefix = Path(brew.ask("--prefix"))
            server = Installed(brew, folder / "home", prefix / "bin" / "stigmer", prefix / "opt" / "stigmer")
            for port in ("temporal", "temporal-ui", "server"):
                server.stigmer("config", "set", f"ports.{port}", str(free_port()))
            yield server
            server.stigmer("server", "stop")
    finally:
        systemctl("disable", "--now", UNIT)  # brew leaves a unit enabled that it did not stop itself
        (units / f"{UNIT}.service").unlink(missing_ok=True)
        systemctl("unset-environment", "STIGMER_HOME")
        systemctl("daemon-reload")


def find_disorder(logs: Mapping[str, list[str]], orders: Mapping[str, int], since: Mapping[str, int]) -> list[str]:
    """Return the log lines after the first `since` that show that a service lost one that must stop after it.

    Services print only because of the stop, so the first new line of each is that of its own stop.
    """
    lowest = min(orders.values())
    printed = {name: logs[name][since[name] :] for name in orders}
    lost = [line for name, lines in printed.items() if orders[name] > lowest for line in lines if LOST.search(line)]
    spans = {name: (lines[0].split()[0], lines[-1].split()[0]) for name, lines in printed.items() if lines}
    early = [
        f"{name} was stopping at {began}, and {before} ended at {ended}"
        for name, (began, _) in spans.items()
        for before, (_, ended) in spans.items()
        if orders[name] < orders[before] and began < ended
    ]
    return lost + early


def await_running(installed: Installed, *not_by: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while unit("MainPID") in ("0", *not_by) or installed.status() != "running":
        assert time.monotonic() < deadline, systemctl("status", UNIT)


@pytest.fixture
def running(installed: Installed) -> Installed:
    installed.services("start")
    await_running(installed)
    return installed


def test_the_start_returns_when_everything_runs(installed: Installed) -> None:
    done = installed.services("start")
    assert done.code == 0, done.stderr
    assert installed.status() == "running"
    assert "brew services stop stigmer" in installed.stigmer("server", "status").stdout


def test_the_services_stop_in_their_order_by_their_own_logs(running: Installed) -> None:
    since = {name: len(lines) for name, lines in running.logs().items()}
    assert "Successfully stopped" in running.services("stop").stdout
    assert running.status() == "stopped"
    assert find_disorder(running.logs(), running.stop_orders(), since) == []


def test_after_a_crash_it_is_restarted_automatically(running: Installed) -> None:
    killed = unit("MainPID")
    os.kill(int(killed), 9)
    await_running(running, killed)
    assert unit("NRestarts") == "1"
    running.services("stop")


def test_beside_a_server_that_runs_already_the_start_fails_once_and_leaves_that_one_alone(installed: Installed) -> None:
    assert installed.stigmer("server").code == 0
    done = installed.services("start")
    assert done.code != 0
    assert "Successfully" not in done.stdout
    assert unit("NRestarts") == "0"
    assert systemctl("is-active", UNIT) == "failed"
    assert installed.status() == "running"
    installed.stigmer("server", "stop")
    systemctl("reset-failed", UNIT)


def test_a_restart_by_the_command_is_refused_and_changes_nothing(running: Installed) -> None:
    """It would start a server outside of the unit, which `brew services stop` does not stop."""
    before = unit("MainPID")
    done = running.stigmer("server", "restart")
    assert done.code == 1
    assert "run `brew services restart stigmer`" in done.stderr
    assert (unit("MainPID"), running.status()) == (before, "running")
    running.services("restart")
    assert (unit("MainPID") != before, running.status()) == (True, "running")


def test_a_stop_by_the_command_is_not_undone(running: Installed) -> None:
    assert running.stigmer("server", "stop").code == 0
    assert systemctl("is-active", UNIT) == "inactive"
    assert unit("Result") == "success"


def test_the_full_name_stops_a_service_whose_formula_is_no_longer_installed(running: Installed) -> None:
    """With its formula, brew removes its trust in the short name."""
    running.brew.run("uninstall", FULL)
    assert systemctl("is-active", UNIT) == "active"
    assert "untrusted" in running.services("stop").stderr
    assert "Successfully stopped" in running.brew.run("services", "stop", FULL)
    assert (systemctl("is-active", UNIT), unit("LoadState")) == ("inactive", "not-found")
    running.brew.run("install", FULL)

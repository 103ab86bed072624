"""Each heading in docs/troubleshooting.md is a message that the launcher really prints.

Words in capitals are placeholders: `port NUMBER (server) is taken by PROGRAM (process PID)`.
"""

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stigmer_launcher.install.payload import Readiness
from support.launcher_checks import await_all_running, kill_together
from support.launcher_payloads import Part, build_libexec, part
from support.launcher_services import Done, Stigmer, fake_stack, stigmer
from support.mounts import can_mount, mount_command
from support.users import NOBODY, UNPRIVILEGED

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def pattern_of(heading: str) -> re.Pattern[str]:
    return re.compile(r"\S.*".join(map(re.escape, re.split(r"\b[A-Z]{2,}\b", heading))))


def alone(launcher: Stigmer, *arguments: str, prefix: tuple[str, ...] = ()) -> Done:
    """Run a command, if requested through another program, in a session without a terminal."""
    launcher.process["start_new_session"] = True
    launcher.program[:0] = prefix
    return launcher(*arguments)


def needs_root() -> None:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can give files to another user")


def taken_port(folder: Path) -> Done:
    with stigmer(folder) as launcher, socket.create_server(("127.0.0.1", 0)) as taken:
        return launcher("server", "--port", f"server={taken.getsockname()[1]}")


def missing_key(folder: Path) -> Done:
    with stigmer(folder, STIGMER_LLM_PROVIDER="anthropic") as launcher:
        return alone(launcher, "server")


def with_configuration(text: str, folder: Path) -> Done:
    with stigmer(folder) as launcher:
        launcher.home.mkdir()
        (launcher.home / "config.yaml").write_text(text, encoding="utf-8")
        return launcher("server")


def service_ends(folder: Path) -> Done:
    with stigmer(folder, fake_stack(agent_runner="exit=1 after=0 line=oops")) as launcher:
        return launcher("server")


def service_is_slow(folder: Path) -> Done:
    with stigmer(folder, fake_stack(seconds=1, agent_runner="unready=1")) as launcher:
        return launcher("server")


def foreign_file(folder: Path) -> Done:
    needs_root()
    with stigmer(folder) as launcher:
        launcher.started()
        launcher("server", "stop")
        os.chown(launcher.home / "logs" / "supervisor.log", NOBODY, NOBODY)
        return alone(launcher, "server", prefix=UNPRIVILEGED)


def home_of_another(folder: Path) -> Done:
    needs_root()
    with stigmer(folder) as launcher:
        launcher.home.mkdir()
        os.chown(launcher.home, NOBODY, NOBODY)
        return launcher("server")


def on_disk(options: str, only: Part, folder: Path) -> Done:
    """Start in a home that is a separate file system, mounted with these options."""
    if not can_mount():
        pytest.skip("this machine does not permit mounting a tmpfs (unshare --mount)")
    with stigmer(folder, (only,)) as launcher:
        launcher.home.mkdir()
        return alone(launcher, "server", prefix=tuple(mount_command(options, launcher.home)))


def damaged_database(folder: Path) -> Done:
    with stigmer(
        folder, (part("temporal", arguments=("--db-filename", "temporal.db"), readiness=Readiness(9.0, ())),)
    ) as launcher:
        launcher.home.mkdir()
        (launcher.home / "temporal.db").write_bytes(b"x" * 5000)
        return launcher("server")


def another_machine(folder: Path) -> Done:
    launcher = Stigmer(build_libexec(folder / "keg", target="darwin-ppc"), folder / "home")
    return launcher("server")


def damaged_keg(folder: Path) -> Done:
    with stigmer(folder) as launcher:
        (folder / "keg" / "libexec" / "components" / "temporal").unlink()
        return launcher("server")


def upgraded(folder: Path) -> Done:
    with stigmer(folder) as launcher:
        launcher.started()
        build_libexec(folder / "keg", fake_stack(), version="1.0.1")
        return launcher("server", "status")


def degraded(folder: Path) -> Done:
    broken = folder / "broken"
    with stigmer(folder, fake_stack(agent_runner=f"broken={broken}")) as launcher:
        launcher.started()
        broken.touch()
        os.kill(await_all_running(launcher)["agent-runner"], signal.SIGKILL)
        return launcher("server")


def stopped(folder: Path) -> Done:
    with stigmer(folder) as launcher:
        return launcher("smoke")


def exposed(folder: Path) -> Done:
    with stigmer(folder, fake_stack(stigmer_server="host=0.0.0.0")) as launcher:
        launcher.started()
        return launcher("doctor")


def killed(folder: Path) -> Done:
    with stigmer(folder) as launcher:
        launcher.started()
        kill_together(launcher)
        return launcher("doctor")


CASES: dict[str, Callable[[Path], Done]] = {
    "port NUMBER (server) is taken by PROGRAM (process PID)": taken_port,
    "PROVIDER needs an API key, and there is no terminal to ask for it": missing_key,
    "config.yaml, line NUMBER: invalid value VALUE for KEY: expected WHAT": partial(
        with_configuration, "ports:\n  server: many\n"
    ),
    "config.yaml, line NUMBER: there is no key KEY": partial(with_configuration, "ports:\n  sever: 7234\n"),
    "SERVICE exited with status NUMBER": service_ends,
    "SERVICE was not ready within NUMBER s: REASON": service_is_slow,
    "SERVICE is pausing: exited with status NUMBER": degraded,
    "the server is stopped": stopped,
    "VERSION is running, VERSION is installed": upgraded,
    "stopped; the last one (pid PID) was killed and could not clean up": killed,
    "no permission to write FILE: it belongs to user NAME": foreign_file,
    "HOME belongs to user NAME, and this is root": home_of_another,
    "FOLDER has NUMBER MB free, and the components need NUMBER MB": partial(
        on_disk, "size=8m", part("temporal", extra={"large": bytes(9 << 20)})
    ),
    "FOLDER is on a file system mounted noexec: programs there cannot be started": partial(
        on_disk, "noexec", part("temporal")
    ),
    "FILE is damaged and may hold workflow history; it is left as it is": damaged_database,
    "this Stigmer is built for TARGET, and this machine is TARGET": another_machine,
    "FILE is missing": damaged_keg,
    "port NUMBER (pid PID) listens on all interfaces, not on localhost alone: other machines can reach it": exposed,
}
"""How each message is provoked."""


def test_every_heading_has_its_case() -> None:
    headings = re.findall(r"^## `(.+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(CASES)


@pytest.mark.parametrize("heading", CASES)
def test_the_launcher_prints_what_a_heading_says(tmp_path: Path, heading: str) -> None:
    done = CASES[heading](tmp_path)
    shown = done.err if done.err.startswith("Error: ") else done.out
    assert pattern_of(heading).search(shown), f"{done.out}\n{done.err}"


def test_words_in_capitals_are_placeholders() -> None:
    pattern = pattern_of("port NUMBER is taken by PROGRAM (process PID)")
    assert pattern.search("port 1 is taken by a b (process 2)")
    assert not pattern.search("port 1 is taken by nobody")

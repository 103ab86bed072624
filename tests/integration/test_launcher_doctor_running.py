"""Doctor beside a real server: what runs is ours, Temporal serves, and what was killed is found."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from support.launcher_services import Stigmer, eventually, fake_stack, stigmer

SECRET = "sk-very-secret-key"  # noqa: S105 - it must not be shown


def diagnosis(launcher: Stigmer, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Give doctor's findings by section and name."""
    report = json.loads(launcher("doctor", "--json", *arguments).out)
    return {(each["section"], each["name"]): each for each in report["findings"]}


def test_beside_a_running_server_everything_is_ours_and_nothing_is_wrong(tmp_path: Path) -> None:
    with stigmer(tmp_path, STIGMER_LLM_PROVIDER="openai", OPENAI_API_KEY=SECRET) as launcher:
        launcher.started()
        done = launcher("doctor", "--deep")
        assert done.out.splitlines()[-1] == "No problems found.", done.out
        assert done.code == 0
        assert SECRET not in done.out + done.err
        found = diagnosis(launcher)
        for port in ("server", "temporal"):
            assert found["Ports", port]["text"].endswith(", ours")
        assert found["Temporal", "server"]["text"].endswith(", serves")
        assert found["Server", "agent-runner"]["level"] == "ok"


def test_a_service_that_other_machines_can_reach_is_a_warning_and_no_failure(tmp_path: Path) -> None:
    with stigmer(tmp_path, fake_stack(stigmer_server="host=0.0.0.0"), STIGMER_LLM_PROVIDER="ollama") as launcher:
        launcher.started()
        done = launcher("doctor")
        assert (done.code, done.out.splitlines()[-1]) == (0, "no problems, 1 warning."), done.out
        warning = diagnosis(launcher)["Ports", "stigmer-server"]
        assert warning["text"].startswith(f"port {launcher.status()['ports']['server']} (pid ")


def test_a_killed_supervisor_is_found_and_the_next_start_puts_it_right(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        launcher.started()
        os.kill(launcher.status()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: launcher("server", "status").code == 3, "the server is seen to be stopped")
        assert "was killed" in diagnosis(launcher)["Server", "supervisor"]["text"]
        launcher.started()
        assert launcher("doctor").code == 0


def test_a_stopped_server_leaves_nothing_to_find(tmp_path: Path) -> None:
    with stigmer(tmp_path) as launcher:
        launcher.started()
        launcher("server", "stop")
        done = launcher("doctor", "--deep")
        assert (done.code, done.out.splitlines()[-1]) == (0, "No problems found."), done.out

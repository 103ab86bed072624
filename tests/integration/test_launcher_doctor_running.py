"""Doctor with a running server: the processes are ours, and Temporal serves."""

import json
from pathlib import Path
from typing import Any

from support.launcher_services import Stigmer, stigmer

SECRET = "sk-very-secret-key"  # noqa: S105 - it must not be shown


def diagnosis(launcher: Stigmer) -> dict[tuple[str, str], dict[str, Any]]:
    report = json.loads(launcher("doctor", "--json").out)
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


def test_the_command_that_replaces_a_modified_file_of_a_running_server_does_so(running: Stigmer) -> None:
    """As after a backup was restored over the home; `stigmer server` leaves a running server and its files alone."""
    (running.home / "bin" / "agent-runner").touch()
    finding = diagnosis(running)["Components", "agent-runner"]
    assert "modified since installation" in finding["text"]
    assert finding["remedy"] == "run `stigmer server restart`: it replaces them"
    assert running("server", "restart").code == 0
    assert diagnosis(running)["Components", "agent-runner"]["level"] == "ok"


def test_a_stopped_server_leaves_nothing_to_find(running: Stigmer) -> None:
    running("server", "stop")
    done = running("doctor", "--deep")
    assert (done.code, done.out.splitlines()[-1]) == (0, "No problems found."), done.out

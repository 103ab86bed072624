"""A variable that the launcher sends and nobody reads is a warning with the name that was probably meant."""

from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.variables import find_unread, find_words
from stigmer_packaging.records.model import AuditReport, Finding
from support.audit_bottles import COMPONENTS, Craft, audit, found_by, good_bottle
from support.frozen_programs import frozen_program

SERVER = f"{COMPONENTS}/stigmer-server"


def bottle_with(server: str, *sent: str) -> Craft:
    """Make a bottle whose server has this text in it, and is sent these variables."""
    craft = good_bottle()
    craft.put(SERVER, craft.keg[SERVER].content + server.encode(), 0o755)
    craft.sent["stigmer-server"] = sent
    return craft


def unread(report: AuditReport) -> list[Finding]:
    """Give the findings about variables."""
    return found_by(report, "unread-variable")


def test_a_variable_that_is_nowhere_in_the_program_is_a_warning_with_the_name_that_was_meant(tmp_path: Path) -> None:
    """Queues were once sent without their prefix for weeks, and STIGMER_BACKEND_URL."""
    craft = bottle_with("\0STIGMER_BACKEND_ENDPOINT\0", "STIGMER_BACKEND_URL", "XYZZY")
    report = audit(craft, tmp_path)
    url, xyzzy = unread(report)
    assert (url.severity, url.path, report.passed) == ("warning", SERVER, True)
    assert url.seen.startswith("stigmer-server is sent STIGMER_BACKEND_URL, and none of its files contains that name")
    assert url.seen.endswith("; did you mean STIGMER_BACKEND_ENDPOINT?")
    assert xyzzy.seen == "stigmer-server is sent XYZZY, and none of its files contains that name"


def test_a_variable_that_is_read_or_listed_as_optional_is_no_finding(tmp_path: Path) -> None:
    craft = bottle_with("\0GRPC_PORT\0", "GRPC_PORT", "STORAGE_PATH")
    report = audit(craft, tmp_path, Policy(optional={"stigmer-server": ("STORAGE_PATH",), "temporal": ("GRPC_PORT",)}))
    assert unread(report) == []


def test_what_is_optional_for_one_component_is_not_for_another(tmp_path: Path) -> None:
    craft = bottle_with("", "STORAGE_PATH")
    assert len(unread(audit(craft, tmp_path, Policy(optional={"agent-runner": ("STORAGE_PATH",)})))) == 1


def test_a_name_may_stand_in_any_file_of_a_component_and_in_no_other_components(tmp_path: Path) -> None:
    craft = bottle_with("\0ONLY_THE_SERVER\0")
    craft.put(f"{COMPONENTS}/agent-runner.lib/settings.py", "os.environ['SANDBOX_TYPE']")
    craft.sent["agent-runner"] = ("SANDBOX_TYPE", "ONLY_THE_SERVER")
    assert [finding.seen.split(",")[0] for finding in unread(audit(craft, tmp_path))] == [
        "agent-runner is sent ONLY_THE_SERVER"
    ]


def test_a_name_in_a_compressed_module_of_a_program_that_unpacks_itself_is_seen(tmp_path: Path) -> None:
    """The product's prebuilt runner is one file, whose modules cannot be seen from outside."""
    craft = good_bottle()
    program = frozen_program(tmp_path, {"config": "MODE = 'SANDBOX_ROOT_DIR'"}, {"main": "read('STIGMER_MODE')"})
    assert b"SANDBOX_ROOT_DIR" not in program
    craft.put(f"{COMPONENTS}/agent-runner", program, 0o755)
    craft.sent["agent-runner"] = ("SANDBOX_ROOT_DIR", "STIGMER_MODE")
    assert unread(audit(craft, tmp_path)) == []


@pytest.mark.parametrize("text", ["GRPC_PORTDB_PATH", "XGRPC_PORT", "$GRPC_PORT_"])
def test_strings_that_a_linker_put_side_by_side_hold_their_names(text: str) -> None:
    assert find_unread(["GRPC_PORT"], find_words([("", text.encode())])) == []


def test_of_strings_side_by_side_the_one_that_was_meant_is_suggested(tmp_path: Path) -> None:
    """Go's linker sorts strings by their length and separates them by nothing."""
    craft = bottle_with(
        "\0STIGMER_BACKEND_ENDPOINTTEMPORAL_SERVICE_ADDRESSTEMPORAL_MAX_CONCURRENCY\0", "TEMPORAL_ADDRESS"
    )
    (finding,) = unread(audit(craft, tmp_path))
    assert finding.seen.endswith("; did you mean TEMPORAL_SERVICE_ADDRESS?")


def test_a_name_with_a_letter_behind_it_is_suggested_without_it_when_another_component_is_sent_it(
    tmp_path: Path,
) -> None:
    craft = bottle_with("\0STIGMER_API_KEYE\0", "STIGMER_APIKEY")
    craft.sent["agent-runner"] = ("STIGMER_API_KEY",)
    found = [finding.seen for finding in unread(audit(craft, tmp_path)) if "STIGMER_APIKEY" in finding.seen]
    assert found[0].endswith("; did you mean STIGMER_API_KEY?")


def test_a_name_with_small_letters_is_not_looked_for() -> None:
    assert find_unread(["http_proxy"], frozenset()) == []

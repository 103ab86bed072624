"""A variable that the launcher sends and nobody reads is a warning with the name that was probably meant."""

from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.variables import find_unread, find_words
from support.audit_bottles import COMPONENTS, Craft, audit, good_bottle, seen_by
from support.frozen_programs import frozen_program

SERVER = f"{COMPONENTS}/stigmer-server"


def bottle_with(server: str, *sent: str) -> Craft:
    craft = good_bottle()
    craft.put(SERVER, craft.keg[SERVER].content + server.encode(), 0o755)
    craft.sent["stigmer-server"] = sent
    return craft


def unread(craft: Craft, policy: Policy | None = None) -> list[str]:
    return [seen for _, seen in seen_by("unread-variable", craft, policy)]


def test_a_variable_that_is_nowhere_in_the_program_is_a_warning_with_the_name_that_was_meant() -> None:
    """Queues were once sent without their prefix for weeks, and STIGMER_BACKEND_URL."""
    report = audit(bottle_with("\0STIGMER_BACKEND_ENDPOINT\0", "STIGMER_BACKEND_URL", "XYZZY"))
    nowhere = "but none of its files contains that name"
    assert report.passed
    assert [(found.severity, found.path, found.seen.split("; ")) for found in report.findings] == [
        (
            "warning",
            SERVER,
            [f"stigmer-server is passed STIGMER_BACKEND_URL, {nowhere}", "did you mean STIGMER_BACKEND_ENDPOINT?"],
        ),
        ("warning", SERVER, [f"stigmer-server is passed XYZZY, {nowhere}"]),
    ]


def test_a_variable_that_is_read_or_optional_for_the_component_is_no_finding() -> None:
    craft = bottle_with("\0GRPC_PORT\0", "GRPC_PORT", "STORAGE_PATH")
    assert unread(craft, Policy(optional={"stigmer-server": ("STORAGE_PATH",), "temporal": ("GRPC_PORT",)})) == []
    assert len(unread(craft, Policy(optional={"agent-runner": ("STORAGE_PATH",)}))) == 1


def test_a_name_may_stand_in_any_file_of_a_component_and_in_no_other_components() -> None:
    craft = bottle_with("\0ONLY_THE_SERVER\0")
    craft.put(f"{COMPONENTS}/agent-runner.lib/settings.py", "os.environ['SANDBOX_TYPE']")
    craft.sent["agent-runner"] = ("SANDBOX_TYPE", "ONLY_THE_SERVER")
    assert [seen.split(",")[0] for seen in unread(craft)] == ["agent-runner is passed ONLY_THE_SERVER"]


def test_a_name_in_a_compressed_module_of_a_program_that_unpacks_itself_is_seen(tmp_path: Path) -> None:
    """The product's prebuilt runner is one file, whose modules cannot be seen from outside."""
    craft = good_bottle()
    program = frozen_program(tmp_path, {"config": "MODE = 'SANDBOX_ROOT_DIR'"}, {"main": "read('STIGMER_MODE')"})
    assert b"SANDBOX_ROOT_DIR" not in program
    craft.put(f"{COMPONENTS}/agent-runner", program, 0o755)
    craft.sent["agent-runner"] = ("SANDBOX_ROOT_DIR", "STIGMER_MODE")
    assert unread(craft) == []


@pytest.mark.parametrize("text", ["GRPC_PORTDB_PATH", "XGRPC_PORT", "$GRPC_PORT_"])
def test_strings_that_a_linker_put_side_by_side_hold_their_names(text: str) -> None:
    assert find_unread(["GRPC_PORT"], find_words([("", text.encode())])) == []


def test_of_strings_side_by_side_the_one_that_was_meant_is_suggested() -> None:
    """Go's linker sorts strings by their length and separates them by nothing."""
    words = "\0STIGMER_BACKEND_ENDPOINTTEMPORAL_SERVICE_ADDRESSTEMPORAL_MAX_CONCURRENCY\0"
    (seen,) = unread(bottle_with(words, "TEMPORAL_ADDRESS"))
    assert seen.endswith("; did you mean TEMPORAL_SERVICE_ADDRESS?")


def test_a_name_with_a_letter_behind_it_is_suggested_without_it_when_another_component_is_sent_it() -> None:
    craft = bottle_with("\0STIGMER_API_KEYE\0", "STIGMER_APIKEY")
    craft.sent["agent-runner"] = ("STIGMER_API_KEY",)
    assert unread(craft)[0].endswith("; did you mean STIGMER_API_KEY?")


def test_a_name_with_small_letters_is_not_looked_for() -> None:
    assert find_unread(["http_proxy"], frozenset()) == []

"""An environment variable that a component is passed but never reads is a warning, with the likely correct name."""

from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.variables import find_unread, find_words
from support.audit_bottles import COMPONENTS, BottleBuilder, audit, findings_of, good_bottle
from support.frozen_programs import frozen_program

SERVER = f"{COMPONENTS}/stigmer-server"


def bottle_with(server: str, *sent: str) -> BottleBuilder:
    builder = good_bottle()
    builder.put(SERVER, builder.keg[SERVER].content + server.encode(), 0o755)
    builder.sent["stigmer-server"] = sent
    return builder


def unread(builder: BottleBuilder, policy: Policy | None = None) -> list[str]:
    return [seen for _, seen in findings_of("unread-variable", builder, policy)]


def test_a_variable_that_the_program_does_not_contain_is_a_warning_with_a_suggestion() -> None:
    """For weeks, STIGMER_BACKEND_URL and queue variables without their prefix were passed, and nothing read them."""
    report = audit(bottle_with("\0STIGMER_BACKEND_ENDPOINT\0", "STIGMER_BACKEND_URL", "XYZZY"))
    nowhere = "but none of its files contains that name"
    assert report.passed
    assert [(found.severity, found.path, found.observation.split("; ")) for found in report.findings] == [
        (
            "warning",
            SERVER,
            [f"stigmer-server is passed STIGMER_BACKEND_URL, {nowhere}", "did you mean STIGMER_BACKEND_ENDPOINT?"],
        ),
        ("warning", SERVER, [f"stigmer-server is passed XYZZY, {nowhere}"]),
    ]


def test_a_variable_that_is_read_or_optional_is_not_reported() -> None:
    builder = bottle_with("\0GRPC_PORT\0", "GRPC_PORT", "STORAGE_PATH")
    assert unread(builder, Policy(optional={"stigmer-server": ("STORAGE_PATH",), "temporal": ("GRPC_PORT",)})) == []
    assert len(unread(builder, Policy(optional={"agent-runner": ("STORAGE_PATH",)}))) == 1


def test_a_name_counts_in_any_file_of_the_component_but_not_in_other_components() -> None:
    builder = bottle_with("\0ONLY_THE_SERVER\0")
    builder.put(f"{COMPONENTS}/agent-runner.lib/settings.py", "os.environ['SANDBOX_TYPE']")
    builder.sent["agent-runner"] = ("SANDBOX_TYPE", "ONLY_THE_SERVER")
    assert [seen.split(",")[0] for seen in unread(builder)] == ["agent-runner is passed ONLY_THE_SERVER"]


def test_a_name_in_a_compressed_module_of_a_single_file_program_is_found(tmp_path: Path) -> None:
    """The product's prebuilt runner is one file with compressed modules, so a search of its bytes is not enough."""
    builder = good_bottle()
    program = frozen_program(tmp_path, {"config": "MODE = 'SANDBOX_ROOT_DIR'"}, {"main": "read('STIGMER_MODE')"})
    assert b"SANDBOX_ROOT_DIR" not in program
    builder.put(f"{COMPONENTS}/agent-runner", program, 0o755)
    builder.sent["agent-runner"] = ("SANDBOX_ROOT_DIR", "STIGMER_MODE")
    assert unread(builder) == []


@pytest.mark.parametrize("text", ["GRPC_PORTDB_PATH", "XGRPC_PORT", "$GRPC_PORT_"])
def test_a_name_is_found_within_strings_that_a_linker_joined(text: str) -> None:
    assert find_unread(["GRPC_PORT"], find_words([("", text.encode())])) == []


def test_the_suggestion_is_cut_out_of_strings_that_a_linker_joined() -> None:
    """Go's linker sorts strings by length and puts no separator between them."""
    words = "\0STIGMER_BACKEND_ENDPOINTTEMPORAL_SERVICE_ADDRESSTEMPORAL_MAX_CONCURRENCY\0"
    (seen,) = unread(bottle_with(words, "TEMPORAL_ADDRESS"))
    assert seen.endswith("; did you mean TEMPORAL_SERVICE_ADDRESS?")


def test_a_name_passed_to_another_component_is_suggested_without_joined_letters() -> None:
    builder = bottle_with("\0STIGMER_API_KEYE\0", "STIGMER_APIKEY")
    builder.sent["agent-runner"] = ("STIGMER_API_KEY",)
    assert unread(builder)[0].endswith("; did you mean STIGMER_API_KEY?")


def test_a_lower_case_name_is_not_checked() -> None:
    assert find_unread(["http_proxy"], frozenset()) == []

"""Reading packaging/manifest.yaml: frozen values, or every problem at once with its line."""

from pathlib import Path

import pytest

from stigmer_packaging.errors import ManifestError
from stigmer_packaging.manifest import CheckoutSource, WheelSource, load_manifest, parse_manifest
from stigmer_packaging.naming import Target
from support.manifest_texts import PATH, problems_of, text_with

SHA = "1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc"
WHEEL = text_with().split("    source:\n", 1)[1].split("    run:\n", 1)[0]


def line_of(needle: str, text: str) -> int:
    """Give the number of the line that holds `needle`, counted from 1."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if needle in line)


def test_the_manifest_of_this_repository_is_read_as_it_is_written() -> None:
    manifest = load_manifest(PATH)
    by_name = {part.name: part for part in manifest.components}
    assert (manifest.product.name, manifest.product.tap) == ("stigmer", "self")
    assert manifest.tag_of(Target("linux", "amd64")) == "x86_64_linux"
    assert by_name["stigmer-server"].version == manifest.product.version
    assert by_name["stigmer-server"].run.ports == {"server": 7234}
    assert by_name["agent-runner"].source == CheckoutSource(
        "pyinstaller",
        "./backend/services/agent-runner",
        "Worker ready",
        {"owners": {"multipart": "multipart"}},
    )
    assert by_name["agent-runner"].run.readiness.queues == ("agent_execution_runner",)
    source = by_name["temporal"].source
    assert isinstance(source, WheelSource)
    assert source.pin.sha256["darwin-arm64"] == SHA


def test_every_problem_is_told_at_once_each_with_its_line() -> None:
    spoiled = (
        ("  tap: self", "  tap: self\n  discription: twice"),
        ("kind: grpc", "kind: grcp"),
        ("{home}/storage", "{hmoe}/storage"),
        ("ports: {server: 7234}", "ports: {server: 70000}"),
        ("license: MIT", "license: NIT"),
    )
    text, problems = text_with(*spoiled), problems_of(*spoiled)
    assert len(problems) == len(spoiled)
    for needle, hint in [
        ("discription", "did you mean 'description'?"),
        ("grcp", "did you mean 'grpc'?"),
        ("{hmoe}", "did you mean 'home'?"),
        ("70000", "a whole number from 1 to 65535"),
        ("NIT", "not an SPDX licence"),
    ]:
        assert any(f"line {line_of(needle, text)}: " in problem and hint in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 2.0.0", "version: v2.0.0", "product.version: 'v2.0.0' is not a semantic version"),
        ("version: 2.0.0", "version: 2.0", "product.version: must be text, and 2.0 is not: put it in quotes"),
        ("name: stigmer\n", "name: Stigmer\n", "product.name: 'Stigmer' is not a name"),
        ("homepage: https", "homepage: ftp", "is not an https:// address"),
        ("license: Apache-2.0", "license: apache-2.0", "SPDX writes 'apache-2.0' as 'Apache-2.0'"),
        ("repository: stigmer/", "repository: ", "is not OWNER/REPOSITORY"),
        ("description: Run", "description: A run", "does not begin with the article 'A'"),
        ("own machine", "own machine.", "does not end with a period"),
        ("own machine", "own machine" + "!" * 60, "at most 80 characters"),
        ("description: Run", "description: run", "begins with a capital letter"),
        ("checkout: packaging/reference", "checkout: ../elsewhere", "is not a relative path without '..'"),
        ("linux-amd64: {bottle", "linux-amd46: {bottle", "unknown target 'linux-amd46'; did you mean 'linux-amd64'?"),
        ("{bottle: arm64_linux,", "{bottle: x86_64_linux,", "'x86_64_linux' is not a bottle tag of linux-arm64"),
        ("{bottle: arm64_sonoma,", "{bottle: sonoma,", "'sonoma' is not a bottle tag of darwin-arm64"),
        (
            'macos_minimum: "14.0"',
            'macos_minimum: "15.0"',
            "brew pours arm64_sonoma from macOS 14 on, and 15.0 is asked",
        ),
        ('macos_minimum: "14.0"', 'glibc_floor: "2.31"', "glibc_floor: unknown key 'glibc_floor'"),
        ('glibc_floor: "2.31"', "glibc_floor: 2.31", "must be text, and 2.31 is not: put it in quotes"),
        ('glibc_floor: "2.31"', 'glibc_floor: "bullseye"', "'bullseye' is not a version of glibc"),
        (", size_budget: 120}", "}", "the key 'size_budget' is missing"),
        ("rebuild: 0", "rebuild: -1", "product.rebuild: must be a whole number from 0 to 1000"),
        ("[HOME, PATH", "[HOME, HOME", "the variable 'HOME' is there twice"),
        ("[HOME, PATH", "[HOME, '1X'", "is not the name of an environment variable"),
        ("method: /stigmer", "method: stigmer", "is not a gRPC method"),
        ("port: server, seconds: 60}\n\ncomp", "port: sever, seconds: 60}\n\ncomp", "did you mean 'server'?"),
        ("{kind: grpc, port: server", "{kind: grpc, port: srver", "readiness.port: unknown port 'srver'"),
        ("{kind: grpc, port", "{kind: grpc, queues: [q], port", "queues are for readiness by pollers, not by grpc"),
        (", queues: [agent_execution_runner]", "", "needs at least one queue in 'queues'"),
        ("needs: [temporal]", "needs: [temporl]", "did you mean 'temporal'?"),
        ("needs: [temporal]", "needs: [workflow-runner]", "need each other in a circle"),
        ("stop_order: 3   # both", "stop_order: 1   # both", "workflow-runner is not stopped before temporal"),
        ("temporal-ui: 8233", "temporal-ui: 7233", "the port number '7233' is there twice"),
        ("ports: {server: 7234}", "ports: {temporal: 7234}", "the port 'temporal' is there twice"),
        ("name: workflow-runner", "name: agent-runner", "the component 'agent-runner' is there twice"),
        ("{port.server}", "{port.sever}", "did you mean 'port.server'?"),
        ("{home}/storage", "{home/storage", "a brace without its partner"),
        ("ENV: local", "ENV: yes_please\n        LOG: true", "must be text, and True is not: put it in quotes"),
        ("build: go, ", "build: make, ", "unknown build 'make'"),
        ("      ready: Worker ready\n", "", "agent-runner.source: the key 'ready' is missing"),
        ("cmd/server}", "cmd/server, ready: yes}", "unknown key 'ready'"),
        ("freeze: {owners: {", "freeze: {ownrs: {", "freeze.ownrs: unknown key 'ownrs'; did you mean 'owners'?"),
        ("freeze: {", "freeze: {excludes: tkinter, ", "source.freeze.excludes: must be a list"),
        ("freeze: {", "freeze: {entry: /main.py, ", "freeze.entry: '/main.py' is not a relative path"),
        ("cmd/server}", "cmd/server, freeze: {}}", "unknown key 'freeze'"),
        ("package: ./backend", "package: /backend", "does not begin with './'"),
        ("kind: wheel", "kind: weel", "unknown kind 'weel'; did you mean 'wheel'?"),
        (f"        darwin-arm64: {SHA}\n", "", "temporal.source: nothing is pinned for darwin-arm64"),
        (SHA, SHA[:-1], "is not a sha256"),
        ("      grace: 10\n", "", "temporal.run: the key 'grace' is missing"),
        ("grace: 10", "grace: soon", "must be a whole number from 1 to 86400, and 'soon' is not"),
        ("needs: [temporal]", "needs: temporal", "run.needs: must be a list"),
        ("product:\n", "products:\n", "unknown key 'products'; did you mean 'product'?"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(old: str, new: str, expected: str) -> None:
    problems = problems_of((old, new))
    assert any(expected in problem for problem in problems), problems


def test_one_mistake_does_not_call_for_others() -> None:
    """What could not be read is not spoken of again by rules that would have used it."""
    assert len(problems_of(("ports: {temporal: 7233", "ports: {temporal: 99999"))) == 1
    assert len(problems_of(("kind: wheel", "kind: weel"))) == 1
    assert len(problems_of(("product:\n", "products:\n"))) == 2  # the one that is not known, the one that is missing


def test_an_artifact_is_pinned_for_every_target() -> None:
    files = "\n".join(
        f"        {target}: {{url: https://example.invalid/{target}, sha256: {SHA}}}"
        for target in ("darwin-arm64", "darwin-amd64", "linux-arm64", "linux-amd64")
    )
    artifact = f"      kind: artifact\n      files:\n{files}\n"
    assert parse_manifest(text_with((WHEEL, artifact))).components[0].name == "temporal"
    without = artifact.replace("        linux-amd64", "        linux-arm65")
    assert any("nothing is pinned for linux-amd64" in problem for problem in problems_of((WHEEL, without)))


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2\n", "\t- x", "&a [*a"])
def test_what_is_not_yaml_is_one_problem_with_its_line(text: str) -> None:
    with pytest.raises(ManifestError, match=r"line \d+: not YAML"):
        parse_manifest(text)


@pytest.mark.parametrize("text", ["", "[]", "just words", "12"])
def test_a_document_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="must be a mapping of keys to values"):
        parse_manifest(text)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"absent\.yaml cannot be read"):
        load_manifest(tmp_path / "absent.yaml")

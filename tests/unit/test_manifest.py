"""Reading packaging/manifest.yaml: frozen values, or every problem at once with its line."""

from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import ManifestError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest import values
from stigmer_packaging.manifest.model import CheckoutSource, Liveness, Proof, Readiness, Restart, Smoke, WheelSource
from stigmer_packaging.manifest.reader import load_manifest, parse_manifest
from stigmer_packaging.manifest.section import Rule
from support.manifest_texts import PATH, problems_of, text_with, text_with_artifact

SHA = "1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc"
LIVENESS = "liveness: {every: 30, timeout: 5, failures: 3}"
RESTART = "restart: {first_pause: 0.5, longest_pause: 30, window: 600, limit: 5}"
NO_SMOKE = "smoke: {kind: none}"
SMOKE = "smoke: {kind: grpc, method: /a.B/C, port: server, seconds: 60}"
COMMAND = "smoke: {kind: command, component: temporal, arguments: ['{port.server}'], output: '^x+$', seconds: 9}"
INJECTION_VARIABLES = ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "BASH_ENV", "OPENSSL_CONF")


def line_of(needle: str, text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if needle in line)


def test_the_manifest_of_this_repository_is_read() -> None:
    manifest = load_manifest(PATH)
    by_name = {part.name: part for part in manifest.components}
    server, runner, source = by_name["stigmer-server"], by_name["agent-runner"], by_name["temporal"].source
    assert (manifest.product.name, manifest.product.tap) == ("stigmer", "self")
    assert manifest.tag_of(Target("linux", "amd64")) == "x86_64_linux"
    assert (server.version, server.run.ports) == (manifest.product.version, {"server": 7234})
    assert f"  - name: temporal\n    version: {by_name['temporal'].version}\n" in text_with()
    assert isinstance(runner.source, CheckoutSource)
    assert (runner.source.build, runner.source.ready) == ("pyinstaller", "Worker ready")
    assert runner.source.freeze["owners"] == {"multipart": "multipart"}
    assert runner.run.readiness == Readiness(120, (Proof("pollers", "temporal", ("agent_execution_runner",)),))
    assert isinstance(source, WheelSource)
    assert source.pin.sha256["darwin-arm64"] == SHA


def test_the_agent_runner_gets_the_model_address_in_every_variable_that_a_build_reads() -> None:
    """Builds since 22 January once used a local Ollama, whatever address was configured."""
    (runner,) = (part for part in load_manifest(PATH).components if part.name == "agent-runner")
    names = {name for name, value in runner.run.environment.items() if value == "{llm.base_url}"}
    assert names == {"STIGMER_LLM_BASE_URL", "OLLAMA_BASE_URL"}
    assert names <= set(runner.optional), "no build reads both"


def test_all_problems_are_reported_at_once_each_with_its_line() -> None:
    mistakes = (
        ("  tap: self", "  tap: self\n  discription: twice"),
        ("kind: grpc", "kind: grcp"),
        ("{home}/storage", "{hmoe}/storage"),
        ("ports: {server: 7234}", "ports: {server: 70000}"),
        ("license: MIT", "license: NIT"),
    )
    text, problems = text_with(*mistakes), problems_of(*mistakes)
    assert len(problems) == len(mistakes)
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
        (
            "homepage: https://",
            "homepage: https://[",
            "product.homepage: 'https://[stigmer.ai/' is not an https:// address",
        ),
        ("stigmer.ai/", "stigmer.ai/a b", "product.homepage: 'https://stigmer.ai/a b' is not an https:// address"),
        ("stigmer.ai/", "stigmer.ai:x/", "product.homepage: 'https://stigmer.ai:x/' is not an https:// address"),
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
        ('macos_minimum: "14.0"', 'macos_minimum: "15.0"', "on macOS 14 or later, but this requires 15.0"),
        ('macos_minimum: "14.0"', 'macos_minimum: "14.1"', "on macOS 14 or later, but this requires 14.1"),
        ('macos_minimum: "14.0"', 'glibc_floor: "2.31"', "glibc_floor: unknown key 'glibc_floor'"),
        ('glibc_floor: "2.31"', "glibc_floor: 2.31", "must be text, and 2.31 is not: put it in quotes"),
        ('glibc_floor: "2.31"', 'glibc_floor: "bullseye"', "'bullseye' is not a version of glibc"),
        (", size_budget: 125}", "}", "the key 'size_budget' is missing"),
        ("rebuild: 0", "rebuild: -1", "product.rebuild: must be a whole number from 0 to 1000"),
        ("[HOME, PATH", "[HOME, HOME", "duplicate variable 'HOME'"),
        ("[HOME, PATH", "[HOME, '1X'", "is not the name of an environment variable"),
        ("method: /stigmer", "method: stigmer", "is not a gRPC method"),
        *(("inherit: [HOME", f"inherit: [{name}", "changes which code a program runs") for name in INJECTION_VARIABLES),
        ("{kind: grpc, port: server", "{kind: grpc, port: srver", "readiness.proofs[0].port: unknown port 'srver'"),
        ("{kind: grpc, port", "{kind: grpc, queues: [q], port", "queues are only for proofs of the kind pollers"),
        ("proofs: [{kind: temporal, port: temporal}]", "proofs: []", "readiness.proofs: at least one proof is needed"),
        ("[{kind: temporal, port: temporal}]", "{kind: temporal, port: temporal}", "readiness.proofs: must be a list"),
        ("{seconds: 60, proofs", "{seconds: 60, kind: temporal, proofs", "unknown key 'kind'"),
        ("{seconds: 120, proofs", "{proofs", "agent-runner.run.readiness: the key 'seconds' is missing"),
        ("needs: [temporal]", "needs: []", "'temporal' is a port of temporal, which stigmer-server does not need"),
        ("ports: {temporal: 7233", "ports: {frontend: 7233", "needs a port 'temporal', and no component has one"),
        (
            "override: STIGMER_SERVER_BIN",
            "override: STIGMER_SERVER_BIN\n      external: SERVER_ADDRESS",
            "stigmer-server.run.external: only a component whose readiness is of the kind temporal can be external",
        ),
        ("needs: [temporal]", "needs: []", "uses {temporal.address}, but does not list temporal in 'needs'"),
        (", queues: [agent_execution_runner]", "", "needs at least one queue in 'queues'"),
        ("needs: [temporal]", "needs: [temporl]", "did you mean 'temporal'?"),
        ("needs: [temporal]", "needs: [stigmer-server]", "need each other in a cycle"),
        ("stop_order: 3   # both", "stop_order: 1   # both", "workflow-runner does not stop before temporal"),
        ("temporal-ui: 8233", "temporal-ui: 7233", "duplicate port number '7233'"),
        ("ports: {server: 7234}", "ports: {temporal: 7234}", "duplicate port 'temporal'"),
        ("name: workflow-runner", "name: agent-runner", "duplicate component 'agent-runner'"),
        ("{port.server}", "{port.sever}", "did you mean 'port.server'?"),
        ("{home.relative}/temporal-data/temporal.db", "{home}/t.db", "is read as a URI: use {home.relative}"),
        ("required: [STIGMER_BACKEND_ENDPOINT,", "required: [STIGMER_BACKEND,", "variable 'STIGMER_BACKEND'"),
        ("{home}/storage", "{home/storage", "unmatched brace"),
        ("ENV: local", "ENV: yes_please\n        LOG: true", "must be text, and True is not: put it in quotes"),
        ("build: go, ", "build: make, ", "unknown build 'make'"),
        ("      ready: Worker ready\n", "", "agent-runner.source: the key 'ready' is missing"),
        ("cmd/server}", "cmd/server, ready: yes}", "unknown key 'ready'"),
        ("owners: {multipart", "ownrs: {multipart", "freeze.ownrs: unknown key 'ownrs'; did you mean 'owners'?"),
        ("startup: [collector, validators]", "hidden_imports: tkinter", "source.freeze.hidden_imports: must be a list"),
        ("startup: [collector, validators]", "entry: /main.py", "freeze.entry: '/main.py' is not a relative path"),
        ("[collector,", "[colector,", "unknown start hook 'colector'; did you mean 'collector'?"),
        ("cmd/server}", "cmd/server, freeze: {}}", "unknown key 'freeze'"),
        ("package: ./backend", "package: /backend", "does not begin with './'"),
        ("kind: wheel", "kind: weel", "unknown kind 'weel'; did you mean 'wheel'?"),
        (f"        darwin-arm64: {SHA}\n", "", "temporal.source: there is no pin for darwin-arm64"),
        (SHA, SHA[:-1], "is not a sha256"),
        ("      grace: 10\n", "", "temporal.run: the key 'grace' is missing"),
        ("grace: 10", "grace: soon", "must be a whole number from 1 to 86400, and 'soon' is not"),
        ("needs: [temporal]", "needs: temporal", "run.needs: must be a list"),
        ("product:\n", "products:\n", "unknown key 'products'; did you mean 'product'?"),
        (NO_SMOKE, "smoke: {method: /a.B/C, port: server, seconds: 60}", "smoke: the key 'kind' is missing"),
        (NO_SMOKE, SMOKE.replace("port: server", "port: sever"), "smoke.port: unknown port 'sever'"),
        (NO_SMOKE, SMOKE.replace("grpc", "gprc"), "smoke.kind: unknown kind 'gprc'; did you mean 'grpc'?"),
        (NO_SMOKE, SMOKE.replace("grpc", "[grpc]"), "smoke.kind: must be text, and ['grpc'] is not"),
        (NO_SMOKE, "smoke: {kind: none, seconds: 60}", "smoke.seconds: unknown key 'seconds'"),
        (NO_SMOKE, SMOKE.replace(", seconds: 60", ""), "smoke: the key 'seconds' is missing"),
        (NO_SMOKE, COMMAND.replace("temporal", "temporl"), "smoke.component: unknown component 'temporl'"),
        (NO_SMOKE, COMMAND.replace("port.server", "port.sever"), "smoke.arguments[0]: unknown variable 'port.sever'"),
        (NO_SMOKE, COMMAND.replace("^x+$", "(x"), "smoke.output: '(x' is not a regular expression: "),
        (
            NO_SMOKE,
            COMMAND.replace("^x+$", "x{9999999999}"),
            "smoke.output: 'x{9999999999}' is not a regular expression: ",
        ),
        (NO_SMOKE, COMMAND.replace("seconds", "exit_code: 256, seconds"), "must be a whole number from 0 to 255"),
        (LIVENESS, "liveness: {evry: 3}", "run.liveness.evry: unknown key 'evry'; did you mean 'every'?"),
        (LIVENESS, "liveness: {every: 0}", "run.liveness.every: must be a number from 1 to 86400, and 0 is not"),
        (LIVENESS, "liveness: {failures: 1}", "run.liveness.failures: must be a whole number from 2 to 1000"),
        (LIVENESS, "liveness: {timeout: soon}", "must be a number from 0.1 to 86400, and 'soon' is not"),
        (LIVENESS, "liveness: {every: 3}", "5 s is longer than the interval between checks, 3 s"),
        (RESTART, "restart: {first_pause: 40}", "restart.longest_pause: 30 s is shorter than the first pause, 40 s"),
        (RESTART, "restart: {limit: 2.5}", "restart.limit: must be a whole number from 0 to 1000"),
        (RESTART, "restart: 5", "restart: must be a mapping of keys to values"),
    ],
)
def test_a_mistake_is_reported_with_what_is_expected(old: str, new: str, expected: str) -> None:
    problems = problems_of((old, new))
    assert any(expected in problem for problem in problems), problems


def test_the_smoke_test_is_a_call_a_command_or_none() -> None:
    call = Smoke("grpc", 60, method="/a.B/C", port="server")
    command = Smoke("command", 9, component="temporal", arguments=("{port.server}",), output="^x+$")
    assert parse_manifest(text_with()).smoke == Smoke("none")
    assert parse_manifest(text_with((NO_SMOKE, SMOKE))).smoke == call
    assert parse_manifest(text_with((NO_SMOKE, COMMAND))).smoke == command
    assert (
        parse_manifest(text_with((NO_SMOKE, COMMAND.replace("seconds", "exit_code: 3, seconds")))).smoke.exit_code == 3
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("toolchain:\n", "toolchain:\n  ~: x\n", "toolchain.None: unknown key 'None'"),
        ("toolchain:\n", "toolchain:\n  7: x\n", "toolchain.7: unknown key '7'"),
        ("product:\n", "7: x\nproduct:\n", "7: unknown key '7'"),
        (
            "ports: {server: 7234}",
            "ports: {7234: server}",
            "stigmer-server.run.ports.7234: must be text, and 7234 is not",
        ),
        ("name: temporal\n", "name: {a: b}\n", "name: must be text, and {'a': 'b'} is not"),
        (
            "    linux-amd64: {size",
            "    7: {}\n    linux-amd64: {size",
            "reference.targets.7: must be text, and 7 is not",
        ),
        ("  linux-amd64: {bottle", "  7: {}\n  linux-amd64: {bottle", "targets.7: must be text, and 7 is not"),
    ],
)
def test_a_key_or_name_that_is_not_text_is_reported_with_its_place(old: str, new: str, expected: str) -> None:
    """It once caused a traceback, as did a value that does not match its YAML tag."""
    problems = problems_of((old, new))
    assert any(expected in problem for problem in problems), problems


def test_one_mistake_does_not_cause_further_problems() -> None:
    """Rules that use an unreadable value must not report it again."""
    assert len(problems_of(("ports: {temporal: 7233", "ports: {temporal: 99999"))) == 1
    assert len(problems_of(("kind: wheel", "kind: weel"))) == 1
    assert len(problems_of(("kind: pollers", "kind: polers"))) == 1
    assert len(problems_of((LIVENESS, "liveness: {timeout: soon}"))) == 1
    assert len(problems_of((RESTART, "restart: 5"))) == 1
    assert len(problems_of(("product:\n", "products:\n"))) == 2  # the unknown key and the missing one


def test_the_reference_section_overrides_the_rest_of_the_manifest() -> None:
    of_server = "    stigmer-server: {optional: []"
    text = text_with((NO_SMOKE, SMOKE), (of_server, f"{of_server}, run: {{grace: 3, arguments: [--reference]}}"))
    own, reference = parse_manifest(text), parse_manifest(text, reference=True)
    assert [each.smoke.method for each in (own, reference)] == ["/a.B/C", "/stigmer.reference.v1.Executions/Run"]
    assert [each.targets["linux-amd64"].size_budget for each in (own, reference)] == [125, 108]
    assert [each.targets["linux-amd64"].glibc_floor for each in (own, reference)] == ["2.31", "2.31"]
    server, of_reference = own.components[1], reference.components[1]
    assert (server.optional, of_reference.optional) == (("STORAGE_PATH",), ())
    assert (server.run.grace, of_reference.run.grace) == (10, 3)
    assert of_reference.run.arguments == ("--reference",)
    assert server.run.environment == of_reference.run.environment


def test_both_stacks_are_the_same_except_for_the_reference_section() -> None:
    own, reference = load_manifest(PATH), load_manifest(PATH, reference=True)
    alike = [tuple(replace(part, optional=()) for part in each.components) for each in (own, reference)]
    assert replace(reference, smoke=own.smoke, targets=own.targets, components=alike[1]) == replace(
        own, components=alike[0]
    )


def test_the_reference_section_may_use_a_yaml_merge_key() -> None:
    """Keys that YAML's `<<` merges have no line of their own."""
    smoke = "  smoke: {kind: grpc, method: /stigmer.reference.v1.Executions/Run, port: server, seconds: 60}\n"
    text = text_with((smoke, "  <<: {smoke: {kind: none}}\n"))
    assert parse_manifest(text, reference=True).smoke.kind == "none"


def test_a_manifest_without_a_reference_section_is_the_same_for_both_stacks() -> None:
    path = PATH.parents[1] / "tests" / "samples" / "two-services" / "manifest.yaml"
    assert load_manifest(path) == load_manifest(path, reference=True)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("reference:\n  smoke:", "reference:\n  smok:", "reference.smok: unknown key 'smok'; did you mean 'smoke'?"),
        ("    linux-amd64: {size", "    linux-amd46: {size", "'linux-amd46'; did you mean 'linux-amd64'?"),
        ("    stigmer-server: {o", "    stigmer-sever: {o", "unknown component 'stigmer-sever'; did you mean"),
        ("server: {optional: []}", "server: {optinal: []}", "unknown key 'optinal'; did you mean 'optional'?"),
        ("server: {optional: []}", "server: 5", "reference.components.stigmer-server: must be a mapping"),
        ("{size_budget: 108}", "{size_budget: much}", "must be a whole number from 1 to 1000, and 'much' is not"),
        ("{optional: [DISABLE_TELEMETRY]}", "{optional: [DISABLE]}", "unknown variable 'DISABLE'"),
        ("Executions/Run, port: server", "Executions/Run, port: sever", "did you mean 'server'?"),
    ],
)
def test_a_mistake_in_the_reference_section_is_reported_with_its_own_line(old: str, new: str, expected: str) -> None:
    line = line_of(new.splitlines()[-1], text_with((old, new)))
    problems = problems_of((old, new))
    assert len(problems) == 1
    assert problems[0].startswith(f"line {line}: ")
    assert expected in problems[0]


def test_an_artifact_must_be_pinned_for_every_target() -> None:
    text = text_with_artifact("https://example.invalid/temporal", SHA)
    assert parse_manifest(text).components[0].name == "temporal"
    with pytest.raises(ManifestError, match="there is no pin for linux-amd64"):
        parse_manifest(text.replace("linux-amd64: {url", "linux-arm65: {url"))


def test_a_manifest_needs_a_component_and_a_target() -> None:
    head, _, rest = text_with().partition("targets:\n")
    with pytest.raises(ManifestError, match="targets: there is no target"):
        parse_manifest(f"{head}targets: {{}}\n" + rest[rest.index("\n\n") :])
    head, _, _ = text_with().partition("components:\n")
    with pytest.raises(ManifestError, match="components: there is no component"):
        parse_manifest(f"{head}components: []\n")


def test_times_that_must_not_exceed_each_other_may_be_equal() -> None:
    parse_manifest(text_with((LIVENESS, "liveness: {every: 5, timeout: 5}"), (RESTART, "restart: {first_pause: 30}")))


def test_liveness_and_restarts_have_defaults_that_a_manifest_overrides_one_by_one() -> None:
    manifest = parse_manifest(
        text_with((LIVENESS, "liveness: {every: 2.5, timeout: 2}"), (RESTART, "restart: {limit: 0}"))
    )
    runs = {part.name: part.run for part in manifest.components}
    assert runs["temporal"].liveness == Liveness(2.5, 2, 3)
    assert runs["stigmer-server"].liveness == Liveness(30, 5, 3)
    assert manifest.restart == Restart(0.5, 30, 600, 0)


@pytest.mark.parametrize(
    ("expected", "texts"),
    [
        (r"line \d+: not YAML", ["a: [", "a: 1\na: 2\n", "\t- x", "&a [*a"]),
        ("not YAML", ["a: !!int e\n", "a: !!float e\n", "a: !!set x\n"]),
        ("nested too deeply|not YAML", ["[" * 1000, "{a: " * 1000 + "1" + "}" * 1000, "- " * 1000 + "x"]),
        ("must be a mapping of keys to values", ["", "[]", "just words", "12"]),
    ],
)
def test_a_document_that_is_not_a_yaml_mapping_is_refused(expected: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ManifestError, match=expected):
            parse_manifest(text)


@pytest.mark.parametrize(
    ("rule", "accepted", "refused"),
    [
        (values.bottle_tag, ["sonoma", "arm64_sonoma", "x86_64_linux"], ["", "linux", "arm64_x86_64_linux", "Sonoma"]),
        (values.command_line, ["make all", "'a b'"], ["", "'a b"]),
        (values.data, ["src/*.txt:data", "a:b:c"], [":data", "data", "a:", "/a:b", "a:/b", "../a:b", "a:../b"]),
        (
            values.description,
            ["Run", "9 lives", "R" * 80, "Runs etc."],
            ["", " Run", "Run  it", "R" * 81, "run", "Run."],
        ),
        (values.description, ["Anode", "These"], ["A run", "An index", "The run"]),
        (values.glibc, ["2.31"], ["2", "2.31.1", "3.31"]),
        (values.inherited_variable, ["HOME", "ENVIRONMENT"], [*INJECTION_VARIABLES, "ENV", "GCONV_PATH", "1X"]),
        (values.inherited_variable, ["LDFLAGS", "PYTHON"], ["OPENSSL_MODULES", "OPENSSL_ENGINES", "PYTHONHOME"]),
        (values.license_expression, ["MIT", "MIT AND Zlib"], ["mit", "NIT", ""]),
        (values.macos, ["14.0"], ["14", "14.0.1"]),
        (values.package, ["./a", "./."], ["a", "./../a", "/a"]),
        (values.relative_path, ["a/b", "..a"], ["", "/a", "a/../b"]),
        (values.tap, ["self", "owner/homebrew-tap"], ["", "own", "a/b/c"]),
        (
            values.url,
            ["https://a.example", "http://localhost:8/", "http://127.0.0.1/"],
            ["http://a.example", "https:///a"],
        ),
        (
            values.url,
            ["https://a.example:1/?b=c#d"],
            ["https://a.example:0/", "https://a.example:x/", "ftp://localhost/"],
        ),
        (values.version, ["1.2.3", "1.2.3-rc.1"], ["1.2", "01.2.3", "1.2.3+b", "1.2.3-", "1.2.3\n"]),
        (values.word, ["x"], ["", " "]),
    ],
)
def test_a_single_value_is_accepted_or_refused(rule: Rule, accepted: list[str], refused: list[str]) -> None:
    assert [text for text in accepted if rule(text)] == []
    assert [text for text in refused if not rule(text)] == []


def test_a_missing_manifest_is_reported_by_name(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"absent\.yaml cannot be read"):
        load_manifest(tmp_path / "absent.yaml")


def test_the_freeze_section_of_a_python_service_is_optional() -> None:
    head, _, rest = text_with().partition("      freeze:\n")
    manifest = parse_manifest(head + "    run:\n" + rest.partition("    run:\n")[2])
    assert [part.source.freeze for part in manifest.components if isinstance(part.source, CheckoutSource)] == [{}] * 3

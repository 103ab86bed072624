"""The notices and the SBOM name all third-party software that is found in the bottle itself."""

import hashlib
import json

import pytest

from stigmer_packaging.audit.check import Policy
from support import native_code
from support.audit_bottles import COMPONENTS, NOTICES, SBOM, BottleBuilder, findings_of, good_bottle
from support.go_modules import program

NAMED = b"stigmer-server 2.0.0 (Apache-2.0)\n  zlib 1.3.1 (Zlib) [1]\n"
MODULES = "mod\tours.example\t(devel)\t\ndep\ta.example/one\tv1.0.0\th1:x=\ndep\ta.example/two\tv2.0.0\th1:y=\n"


def violations(builder: BottleBuilder, policy: Policy | None = None, check: str = "notices") -> list[str]:
    return [seen for _, seen in findings_of(check, builder, policy)]


def add_to_notices(builder: BottleBuilder, *lines: str) -> None:
    text = builder.keg[NOTICES].content
    builder.put(NOTICES, text.replace(NAMED, NAMED + "".join(f"  {line}\n" for line in lines).encode()))


def test_go_and_every_module_in_a_go_program_must_be_named() -> None:
    builder = good_bottle()
    builder.put(f"{COMPONENTS}/stigmer-server", native_code.elf("amd64") + program("go1.26.8", MODULES)[4:], 0o755)
    assert violations(builder) == [
        "does not name go 1.26.8",
        "does not name a.example/one v1.0.0",
        "does not name a.example/two v2.0.0",
    ]
    add_to_notices(builder, "go 1.26.8 (BSD-3-Clause)", "a.example/one v1.0.0 (MIT) [1]", "a.example/two v1.9.0 (MIT)")
    assert violations(builder) == ["does not name a.example/two v2.0.0"], "a module of another version does not count"
    add_to_notices(builder, "a.example/two v2.0.0 (MIT)")
    assert violations(builder) == []


@pytest.mark.parametrize(
    ("version", "missing"), [("v1.2.0", ["a.example/tool v1.2.0"]), ("(devel)", []), ("", [])], ids=str
)
def test_a_go_program_whose_main_module_has_a_version_must_be_named(version: str, missing: list[str]) -> None:
    """Such a program is not ours, but one that we ship, such as Temporal's."""
    builder = good_bottle()
    modules = f"mod\ta.example/tool\t{version}\t\n"
    builder.put(f"{COMPONENTS}/stigmer-server", native_code.elf("amd64") + program("go1.26.8", modules)[4:], 0o755)
    assert violations(builder) == [f"does not name {name}" for name in ("go 1.26.8", *missing)]


def test_a_distribution_with_metadata_in_the_bottle_must_be_named() -> None:
    builder = good_bottle()
    builder.put(f"{COMPONENTS}/agent-runner.lib/Lang_Chain-1.4.7.dist-info/METADATA", "")
    assert violations(builder) == ["does not name lang-chain 1.4.7"]
    add_to_notices(builder, "lang-chain 1.4.7 (MIT)")
    assert violations(builder) == []


def test_every_locked_distribution_must_be_named() -> None:
    policy = Policy(required_notices=("attrs 26.1.0", "anyio"))
    builder = good_bottle()
    add_to_notices(builder, "anyio 4.16.0 (MIT)")
    assert violations(builder, policy) == ["does not name attrs 26.1.0"]
    add_to_notices(builder, "attrs 26.1.0 (MIT)")
    assert violations(builder, policy) == []


def test_every_component_must_be_named() -> None:
    builder = good_bottle()
    builder.put(NOTICES, builder.keg[NOTICES].content.replace(b"agent-runner", b"other-runner"))
    assert violations(builder) == ["does not name agent-runner"]


def test_a_matching_line_in_a_licence_text_does_not_count() -> None:
    """A licence text may contain any line, including one that looks like an entry."""
    builder = good_bottle()
    builder.put(NOTICES, builder.keg[NOTICES].content + b"attrs 26.1.0 (MIT)\n")
    assert violations(builder, Policy(required_notices=("attrs",))) == ["does not name attrs"]


def test_missing_notices_and_a_missing_sbom_are_found() -> None:
    builder = good_bottle()
    del builder.keg[NOTICES], builder.keg[SBOM]
    assert violations(builder) == ["missing"]
    assert violations(builder, check="sbom") == ["missing, or not an SPDX 2.3 document"]


def test_an_sbom_is_compared_with_missing_notices_as_with_empty_ones() -> None:
    builder = good_bottle()
    del builder.keg[NOTICES]
    assert f"does not name zlib 1.3.1, which {SBOM} names" in violations(builder, check="sbom")


@pytest.mark.parametrize("name", ["COPYING", "LICENCE", "LICENSE.txt"])
def test_our_licence_may_have_each_usual_name(name: str) -> None:
    builder = good_bottle()
    builder.put(name, builder.keg.pop("LICENSE").content)
    assert violations(builder, check="licence") == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"packages": [1], "spdxVersion": "SPDX-2.3"}'])
def test_a_file_that_is_not_spdx_is_refused_as_an_sbom(text: str) -> None:
    builder = good_bottle()
    builder.put(SBOM, text)
    assert violations(builder, check="sbom") == ["missing, or not an SPDX 2.3 document"]


def test_the_notices_and_the_sbom_must_name_the_same_software() -> None:
    builder = good_bottle()
    listed = json.loads(builder.keg[SBOM].content)
    listed["spdxVersion"] = "SPDX-2.2"
    listed["packages"] = [each for each in listed["packages"] if each["name"] != "zlib"]
    listed["packages"].append({"name": "perl", "versionInfo": "5.36"})
    builder.put(SBOM, json.dumps(listed))
    assert violations(builder, check="sbom") == [
        "its version is SPDX-2.2, not SPDX-2.3",
        "does not name zlib 1.3.1",
        f"does not name perl 5.36, which {SBOM} names",
    ]


def test_the_sbom_in_the_bottle_must_equal_the_released_one() -> None:
    builder = good_bottle()
    same = hashlib.sha256(builder.keg[SBOM].content).hexdigest()
    assert violations(builder, Policy(sbom_sha256=same), "sbom") == []
    other = Policy(sbom_sha256="0" * 64)
    assert violations(builder, other, "sbom") == ["differs from the one released beside the bottle"]

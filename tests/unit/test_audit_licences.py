"""The notices and the SBOM name all third-party software that is found in the bottle itself."""

import json

import pytest

from stigmer_packaging.audit.check import Policy
from support import native_code
from support.audit_bottles import COMPONENTS, NOTICES, SBOM, Craft, good_bottle, seen_by
from support.go_modules import program

NAMED = b"stigmer-server 2.0.0 (Apache-2.0)\n  zlib 1.3.1 (Zlib) [1]\n"
MODULES = "mod\tours.example\t(devel)\t\ndep\ta.example/one\tv1.0.0\th1:x=\ndep\ta.example/two\tv2.0.0\th1:y=\n"


def violations(craft: Craft, policy: Policy | None = None, check: str = "notices") -> list[str]:
    return [seen for _, seen in seen_by(check, craft, policy)]


def add_to_notices(craft: Craft, *lines: str) -> None:
    text = craft.keg[NOTICES].content
    craft.put(NOTICES, text.replace(NAMED, NAMED + "".join(f"  {line}\n" for line in lines).encode()))


def test_go_and_every_module_in_a_go_program_must_be_named() -> None:
    craft = good_bottle()
    craft.put(f"{COMPONENTS}/stigmer-server", native_code.elf("amd64") + program("go1.26.8", MODULES)[4:], 0o755)
    assert violations(craft) == [
        "does not name go 1.26.8",
        "does not name a.example/one v1.0.0",
        "does not name a.example/two v2.0.0",
    ]
    add_to_notices(craft, "go 1.26.8 (BSD-3-Clause)", "a.example/one v1.0.0 (MIT) [1]", "a.example/two v1.9.0 (MIT)")
    assert violations(craft) == ["does not name a.example/two v2.0.0"], "a module of another version does not count"
    add_to_notices(craft, "a.example/two v2.0.0 (MIT)")
    assert violations(craft) == []


def test_a_distribution_with_metadata_in_the_bottle_must_be_named() -> None:
    craft = good_bottle()
    craft.put(f"{COMPONENTS}/agent-runner.lib/Lang_Chain-1.4.7.dist-info/METADATA", "")
    assert violations(craft) == ["does not name lang-chain 1.4.7"]
    add_to_notices(craft, "lang-chain 1.4.7 (MIT)")
    assert violations(craft) == []


def test_every_locked_distribution_must_be_named() -> None:
    policy = Policy(noticed=("attrs 26.1.0", "anyio"))
    craft = good_bottle()
    add_to_notices(craft, "anyio 4.16.0 (MIT)")
    assert violations(craft, policy) == ["does not name attrs 26.1.0"]
    add_to_notices(craft, "attrs 26.1.0 (MIT)")
    assert violations(craft, policy) == []


def test_every_component_must_be_named() -> None:
    craft = good_bottle()
    craft.put(NOTICES, craft.keg[NOTICES].content.replace(b"agent-runner", b"other-runner"))
    assert violations(craft) == ["does not name agent-runner"]


def test_a_matching_line_in_a_licence_text_does_not_count() -> None:
    """A licence text may contain any line, including one that looks like an entry."""
    craft = good_bottle()
    craft.put(NOTICES, craft.keg[NOTICES].content + b"attrs 26.1.0 (MIT)\n")
    assert violations(craft, Policy(noticed=("attrs",))) == ["does not name attrs"]


def test_missing_notices_and_a_missing_sbom_are_found() -> None:
    craft = good_bottle()
    del craft.keg[NOTICES], craft.keg[SBOM]
    assert violations(craft) == ["missing"]
    assert violations(craft, check="sbom") == ["missing, or not an SPDX 2.3 document"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"packages": [1], "spdxVersion": "SPDX-2.3"}'])
def test_a_file_that_is_not_spdx_is_refused_as_an_sbom(text: str) -> None:
    craft = good_bottle()
    craft.put(SBOM, text)
    assert violations(craft, check="sbom") == ["missing, or not an SPDX 2.3 document"]


def test_the_notices_and_the_sbom_must_name_the_same_software() -> None:
    craft = good_bottle()
    listed = json.loads(craft.keg[SBOM].content)
    listed["spdxVersion"] = "SPDX-2.2"
    listed["packages"] = [each for each in listed["packages"] if each["name"] != "zlib"]
    listed["packages"].append({"name": "perl", "versionInfo": "5.36"})
    craft.put(SBOM, json.dumps(listed))
    assert violations(craft, check="sbom") == [
        "its version is SPDX-2.2, not SPDX-2.3",
        "does not name zlib 1.3.1",
        f"does not name perl 5.36, which {SBOM} names",
    ]


def test_the_sbom_in_the_bottle_must_equal_the_released_one() -> None:
    policy = Policy(sbom_sha256="0" * 64)
    assert violations(good_bottle(), policy, "sbom") == ["differs from the one released beside the bottle"]

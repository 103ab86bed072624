"""Notices and SBOMs name everything, contain each text once, and are valid for independent readers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from spdx_tools.spdx.model.relationship import RelationshipType
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from stigmer_packaging.binaries.buildinfo import BuildInfo
from stigmer_packaging.lib.interpreter import Interpreter
from stigmer_packaging.licensing.licences import Credit
from stigmer_packaging.licensing.native import InstalledPackages
from stigmer_packaging.licensing.notices import TEXTS, render_notices
from stigmer_packaging.licensing.spdx import render_sbom
from stigmer_packaging.licensing.stage import Environment, credit_bundle, credit_program, write_sbom
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.records.model import Credits, Ingredient, OmittedModule
from stigmer_packaging.records.workspace import Workspace
from support.go_modules import program
from support.keg_standin import EPOCH, TAG, TARGET, standin_manifest, standin_service
from support.wheels import install

PRODUCT = standin_manifest().product
ATTRS = Ingredient("attrs", "26.1.0", "MIT", "pkg:pypi/attrs@26.1.0", ("mit",))
GRPC = Ingredient("a.example/grpc", "v1.2.0", "Apache-2.0", "pkg:golang/a.example/grpc@v1.2.0", ("apache",))
XZ = Ingredient("xz", "", "LicenseRef-public-domain", "pkg:generic/xz")
AGENT = Credits("agent-runner", "2.0.0", "Apache-2.0", str(TARGET), (ATTRS, XZ), {"mit": "MIT\n"})
SERVER = Credits("stigmer-server", "2.0.0", "Apache-2.0", str(TARGET), (GRPC,), {"apache": "Apache\n"})
RUNNER = replace(SERVER, part="workflow-runner", texts={"apache": "Apache \n"})
ALL = (AGENT, SERVER, RUNNER)


def notices(credited: tuple[Credits, ...] = ALL) -> str:
    return render_notices(PRODUCT.name, PRODUCT.version, str(TARGET), credited)


def sbom(credited: tuple[Credits, ...] = ALL, product: Product = PRODUCT) -> str:
    return render_sbom(product, str(TARGET), credited, source_date_epoch=EPOCH)


def test_the_notices_list_each_part_with_its_ingredients_and_each_text_once() -> None:
    text = notices()
    named, _, texts = text.partition(f"\n{TEXTS}\n")
    assert "\nagent-runner 2.0.0 (Apache-2.0)\n  attrs 26.1.0 (MIT) [2]\n  xz - (LicenseRef-public-domain)\n" in named
    assert named.count("  a.example/grpc v1.2.0 (Apache-2.0) [1]\n") == 2
    assert texts.count("Apache") == 1
    assert texts.index("[1]\n\nApache") < texts.index("[2]\n\nMIT")


def test_the_notices_state_which_module_of_a_distribution_is_left_out() -> None:
    """Some licences require that modifications are stated."""
    left = OmittedModule("parts", "python-parts", "1.0", "parts")
    text = notices((replace(AGENT, omitted=(left,)),))
    assert "  Modified: the module parts of python-parts 1.0 is left out; parts's is shipped.\n" in text


def test_the_notices_do_not_depend_on_the_order_of_equivalent_texts() -> None:
    """Of texts that differ only in whitespace, the same one is always printed, no matter which came first."""
    assert notices((AGENT, SERVER, RUNNER)).count("Apache \n") == 0
    swapped = (AGENT, replace(SERVER, texts=RUNNER.texts), replace(RUNNER, texts=SERVER.texts))
    assert notices(swapped) == notices()


@pytest.mark.parametrize("page", ["", "#install", "?a=b#c"])
def test_the_sbom_is_valid_for_the_reference_spdx_library(tmp_path: Path, page: str) -> None:
    """Even if the homepage has a query or a fragment, which a document namespace must not have."""
    file = tmp_path / "stigmer.spdx.json"
    file.write_text(sbom(product=replace(PRODUCT, homepage=f"{PRODUCT.homepage}{page}")), encoding="utf-8")
    document = parse_file(str(file))
    assert [message.validation_message for message in validate_full_spdx_document(document, "SPDX-2.3")] == []
    packages = {package.name: package for package in document.packages}
    assert set(packages) == {"stigmer", *(credit.part for credit in ALL), "attrs", "a.example/grpc", "xz"}
    attrs = packages["attrs"]
    assert (attrs.version, str(attrs.license_declared)) == ("26.1.0", "MIT")
    assert [reference.locator for reference in attrs.external_references] == ["pkg:pypi/attrs@26.1.0"]
    holds = {
        (each.spdx_element_id, each.related_spdx_element_id)
        for each in document.relationships
        if each.relationship_type is RelationshipType.CONTAINS
    }
    assert (packages["agent-runner"].spdx_id, attrs.spdx_id) in holds
    assert (packages["stigmer"].spdx_id, packages["agent-runner"].spdx_id) in holds


def test_the_reference_spdx_library_detects_an_invalid_sbom(tmp_path: Path) -> None:
    broken = json.loads(sbom())
    broken["packages"][0]["licenseDeclared"] = "LicenseRef-nobody"
    (tmp_path / "x.spdx.json").write_text(json.dumps(broken), encoding="utf-8")
    assert validate_full_spdx_document(parse_file(str(tmp_path / "x.spdx.json")), "SPDX-2.3") != []


def test_an_sbom_depends_only_on_the_credits_and_the_given_time() -> None:
    assert sbom() == sbom()
    described = json.loads(sbom())
    assert described["creationInfo"]["created"] == "2026-01-01T00:00:00Z"
    assert [package["name"] for package in described["packages"]].count("a.example/grpc") == 1, (
        "listed once although two parts contain it"
    )
    other = json.loads(sbom((AGENT, SERVER)))
    assert other["documentNamespace"] != described["documentNamespace"], "different documents need different namespaces"


def test_a_go_program_is_credited_by_its_build_info(workspace: Workspace) -> None:
    service = standin_service(workspace, "temporal", {"temporal": "#!/bin/sh\n"})
    credited: list[BuildInfo] = []

    def credit_go(info: BuildInfo) -> tuple[Credit, ...]:
        credited.append(info)
        one = Credit("a.example/one", "v1.0.0", "MIT", "pkg:golang/a.example/one@v1.0.0", ("b\n", "a\n"))
        return (one, one)

    (component, *_) = standin_manifest().components
    own = credit_program(service, component.license, credit_go, workspace=workspace)
    assert (own.licence, own.ingredients, credited) == (component.license, (), []), "a shell script has no build info"
    path = workspace.path(f"{service.root}/{service.entry}")
    path.write_bytes(program("go1.26.8", "mod\tours.example\t(devel)\t\n"))
    found = credit_program(service, component.license, credit_go, workspace=workspace)
    assert credited[0].go == "1.26.8"
    (one,) = found.ingredients
    assert [found.texts[key] for key in one.texts] == ["b\n", "a\n"]
    assert workspace.read_record("credit/linux-amd64/temporal", Credits) == found


def test_a_bundle_is_credited_with_its_distributions_its_python_and_its_libraries(
    workspace: Workspace, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    for name in ("attrs", "setuptools", "pyinstaller"):
        install(site, name, metadata="License-Expression: MIT")
    service = standin_service(workspace, "agent-runner", {"agent-runner": "", "agent-runner.lib/libz.so.1": ""})
    python = Interpreter("/python3.13/bin/python3.13", "3.13.5", TARGET, "", "x")
    environment = Environment(site, {"attrs"}, python, InstalledPackages({"PATH": str(tmp_path)}))
    found = credit_bundle(service, "MIT", environment, workspace=workspace)
    names = [f"{each.name} {each.version}" for each in found.ingredients]
    assert names == ["attrs 1.0", "cpython 3.13.5", "pyinstaller 1.0", "zlib "], (
        "library versions are known only on Debian"
    )


def test_the_sbom_is_written_beside_the_bottle_and_named_after_it(workspace: Workspace) -> None:
    written = write_sbom(PRODUCT, TARGET, TAG, ALL, source_date_epoch=EPOCH, workspace=workspace)
    assert written.path == "dist/stigmer-2.0.0.x86_64_linux.sbom.spdx.json"
    assert workspace.path(written.path).read_text(encoding="utf-8") == sbom()
    assert workspace.is_intact(written)

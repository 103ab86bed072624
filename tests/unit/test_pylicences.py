"""The licence that a Python distribution declares, and the components compiled into its wheel."""

import json
from pathlib import Path

import pytest

from stigmer_packaging.licensing.licences import Credit
from stigmer_packaging.licensing.pylicences import credit_python
from support.wheels import install

MIT = "Permission is hereby granted, free of charge, to any person: this permission notice shall be included.\n"


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: Apache-2.0 OR MIT", "Apache-2.0 OR MIT"),
        ("License: Apache 2.0", "Apache-2.0"),
        ("License: see the file\nClassifier: License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        ("Classifier: Topic :: Tools\nClassifier: License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        ("Classifier: License :: OSI Approved :: BSD License", "MIT"),
        ("Classifier: License :: A\nClassifier: License :: Apache Software License", "MIT"),
        ("", "MIT"),
    ],
)
def test_the_most_precise_declaration_counts_and_otherwise_the_text(
    tmp_path: Path, metadata: str, licence: str
) -> None:
    install(tmp_path, "One_Two", metadata=metadata, described={"licenses/LICENSE": MIT})
    assert credit_python(tmp_path, {"one-two"}) == (Credit("one-two", "1.0", licence, "pkg:pypi/one-two@1.0", (MIT,)),)


def test_build_tools_are_not_credited_except_for_pyinstallers_bootloader_and_hooks(tmp_path: Path) -> None:
    for name in ("one", "altgraph", "setuptools", "pyinstaller", "pyinstaller-hooks-contrib"):
        install(tmp_path, name, metadata="License: MIT")
    found = {each.name: each.licence for each in credit_python(tmp_path, {"one"})}
    assert found == {
        "one": "MIT",
        "pyinstaller": "GPL-2.0-or-later WITH Bootloader-exception",
        "pyinstaller-hooks-contrib": "Apache-2.0",
    }


def test_all_licence_files_are_found_wherever_the_build_backend_put_them(tmp_path: Path) -> None:
    texts = {"LICENSE": "a\n", "NOTICE": "b\n", "licenses/AUTHORS": "c\n", "top_level": "no\n"}
    install(tmp_path, "one", described=texts, modules={"one/vendored/LICENSE": "another's\n"})
    (found,) = credit_python(tmp_path, {"one"})
    assert sorted(found.texts) == ["a\n", "b\n", "c\n"]


def test_a_distribution_without_a_list_of_its_files_is_credited_as_declared(tmp_path: Path) -> None:
    install(tmp_path, "one", metadata="License: MIT", described={"LICENSE": "a\n"})
    (tmp_path / "one-1.0.dist-info/RECORD").unlink()
    assert credit_python(tmp_path, {"one"}) == (Credit("one", "1.0", "MIT", "pkg:pypi/one@1.0", ()),)


def test_components_compiled_into_a_wheel_are_credited(tmp_path: Path) -> None:
    """Folders of the wheel's own source, with a file:// URL, are left out."""
    parts = [
        {"name": "serde", "version": "1.0", "purl": "pkg:cargo/serde@1.0", "licenses": [{"expression": "MIT"}]},
        {"name": "own", "version": "1.0", "purl": "pkg:cargo/own@1.0?download_url=file://own"},
        {"name": "openssl", "version": "4.0", "purl": "pkg:generic/openssl@4.0?download_url=https://x.example/o"},
        {"name": "two", "version": "2", "purl": "pkg:cargo/two@2", "licenses": [{"license": {"id": "ISC"}}]},
        {"name": "three", "version": "3", "purl": "pkg:c/three@3", "licenses": [{"license": {"name": "MIT License"}}]},
        {"name": "unnamed", "version": "1"},
    ]
    listed = {"sboms/one.json": json.dumps({"components": parts}), "sboms/README": "no JSON", "other.json": "[]"}
    install(tmp_path, "one", metadata="License: MIT", described=listed)
    found = {each.purl: each.licence for each in credit_python(tmp_path, {"one"})}
    assert found == {
        "pkg:pypi/one@1.0": "MIT",
        "pkg:cargo/serde@1.0": "MIT",
        "pkg:generic/openssl@4.0": "Apache-2.0",
        "pkg:cargo/two@2": "ISC",
        "pkg:c/three@3": "MIT",
    }


def test_a_wheel_that_lists_itself_keeps_its_declared_licence(tmp_path: Path) -> None:
    """Auditwheel writes such an SBOM into every wheel that it copies libraries into."""
    parts = [
        {"name": "One_Two", "version": "1.0", "purl": "pkg:pypi/one-two@1.0?file_name=one_two-1.0-py3-none-any.whl"},
        {"name": "libone", "version": "2", "purl": "pkg:rpm/almalinux/libone@2"},
    ]
    listed = {"sboms/auditwheel.cdx.json": json.dumps({"components": parts}), "licenses/LICENSE": MIT}
    install(tmp_path, "One_Two", metadata="License: MIT", described=listed)
    found = [(each.purl, each.licence, each.texts) for each in credit_python(tmp_path, {"one-two"})]
    assert found == [
        ("pkg:pypi/one-two@1.0", "MIT", (MIT,)),
        ("pkg:rpm/almalinux/libone@2", "NOASSERTION", ()),
    ]

"""SPDX expressions in the formula's syntax; the expected values were checked with `brew info --json=v2` of 6.0.18."""

import pytest

from stigmer_packaging.formula.license import license_argument


@pytest.mark.parametrize(
    ("expression", "ruby"),
    [
        ("Apache-2.0", '"Apache-2.0"'),
        ("MIT OR Apache-2.0", 'any_of: ["MIT", "Apache-2.0"]'),
        ("MIT AND BSD-3-Clause", 'all_of: ["MIT", "BSD-3-Clause"]'),
        ("MIT OR Apache-2.0 AND ISC", 'any_of: [\n    "MIT",\n    { all_of: ["Apache-2.0", "ISC"] },\n  ]'),
        ("(MIT OR Apache-2.0) AND ISC", 'all_of: [\n    { any_of: ["MIT", "Apache-2.0"] },\n    "ISC",\n  ]'),
        ("((MIT))", '"MIT"'),
        ("GPL-2.0-only WITH Classpath-exception-2.0", '"GPL-2.0-only" => { with: "Classpath-exception-2.0" }'),
        (
            "MIT OR GPL-2.0-only WITH Classpath-exception-2.0",
            'any_of: [\n    "MIT",\n    { "GPL-2.0-only" => { with: "Classpath-exception-2.0" } },\n  ]',
        ),
        ("GPL-2.0-or-later", '"GPL-2.0-or-later"'),
        ("LicenseRef-Acme", ":cannot_represent"),
        ("MIT OR LicenseRef-Acme", 'any_of: ["MIT", :cannot_represent]'),
    ],
)
def test_a_licence_expression_is_converted_to_the_syntax_of_brew(expression: str, ruby: str) -> None:
    assert license_argument(expression) == ruby

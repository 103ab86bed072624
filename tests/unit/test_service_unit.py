"""The unit of the trial is the one that brew writes."""

from pathlib import Path

from stigmer_packaging.tools.guest import PREFIX
from stigmer_packaging.tools.service_machine import service_unit

SAMPLE = Path(__file__).parents[1] / "samples/audit/brew/homebrew.stigmer.service"
TEMPLATE = Path(__file__).parents[2] / "packaging/stigmer_packaging/templates/formula.rb.template"


def test_the_unit_begins_as_the_one_that_brew_wrote_and_has_what_the_formula_adds() -> None:
    """The sample is of a formula without folders and logs, which come after its last line."""
    unit = service_unit("stigmer", PREFIX)
    sample = SAMPLE.read_text(encoding="utf-8")
    assert unit.startswith(sample)
    service = TEMPLATE.read_text(encoding="utf-8").partition("service do\n")[2].partition("  end\n")[0]
    asked = [line.split()[0] for line in service.splitlines() if line.strip()]
    assert asked == ["run", "keep_alive", "working_dir", "log_path", "error_log_path", "environment_variables"]
    added = [line.partition("=")[0] for line in unit.removeprefix(sample).splitlines()]
    assert added == ["WorkingDirectory", "StandardOutput", "StandardError", "Environment"]

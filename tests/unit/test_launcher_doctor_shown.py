"""What doctor found is shown to people in columns and to programs as JSON, and its exit code tells whether it is bad."""

import io
import json
from pathlib import Path

from stigmer_launcher.cli import main
from stigmer_launcher.doctor.report import OK, PROBLEM, WARNING, Finding, Report, render_json, render_text
from stigmer_launcher.system.places import Places
from support.doctoring import look
from support.launcher_payloads import stigmer_parts

REPORT = Report(
    (
        Finding("One", "name", OK, "fine"),
        Finding("One", "longer name", PROBLEM, "first\nsecond", "do this"),
        Finding("Two", "x", WARNING, "careful"),
    )
)


def test_the_text_has_sections_levels_and_remedies_in_columns() -> None:
    assert render_text(REPORT, lambda text, _: text) == (
        "One\n"
        "  ok      name         fine\n"
        "  problem longer name  first\n"
        "                       second\n"
        "                       -> do this\n"
        "\n"
        "Two\n"
        "  warning x            careful\n"
        "\n"
        "1 problem, 1 warning."
    )


def test_the_json_has_the_counts_and_every_finding() -> None:
    plain = json.loads(render_json(REPORT))
    assert (plain["format"], plain["problems"], plain["warnings"]) == (1, 1, 1)
    assert plain["findings"][1] == {
        "section": "One",
        "name": "longer name",
        "level": "problem",
        "text": "first\nsecond",
        "remedy": "do this",
    }


def test_the_summary_counts_in_plain_words() -> None:
    assert render_text(Report(()), lambda text, _: text).strip() == "No problems found."
    two = Report((Finding("a", "b", WARNING, "c"), Finding("a", "b", WARNING, "c")))
    assert render_text(two, lambda text, _: text).endswith("no problems, 2 warnings.")


def command(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run the command line and give its code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    code = main.main(("doctor", *arguments), environ, out, err)
    return code, out.getvalue() + err.getvalue()


def test_the_exit_code_tells_whether_there_is_a_problem(keg: Path, places: Places) -> None:
    code, text = command(STIGMER_PAYLOAD=str(keg), STIGMER_HOME=places.home)
    assert (code, text.splitlines()[-1]) == (0, "No problems found.")
    code, text = command(STIGMER_HOME=places.home)
    assert (code, text.splitlines()[-1]) == (1, "1 problem, no warnings.")


def test_the_json_of_the_command_is_json_alone(keg: Path, places: Places) -> None:
    code, text = command("--json", "--deep", STIGMER_PAYLOAD=str(keg), STIGMER_HOME=places.home)
    assert code == 0
    assert json.loads(text)["problems"] == 0


def test_every_part_of_a_stigmer_is_looked_at(keg: Path, places: Places) -> None:
    report = look(keg, places)
    names = {each.name for each in report.findings if each.section == "Components"}
    assert names == {each.component.name for each in stigmer_parts()}
    assert {each.section for each in report.findings} >= {
        "Stigmer",
        "Home",
        "Components",
        "Server",
        "Temporal",
        "Model",
    }

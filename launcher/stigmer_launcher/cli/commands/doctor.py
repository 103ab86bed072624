"""`stigmer doctor`: prints the findings; exits with 1 when there is a problem."""

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.doctor.diagnosis import diagnose
from stigmer_launcher.doctor.report import NOTE, OK, PROBLEM, WARNING, render_json, render_text
from stigmer_launcher.errors import KegError
from stigmer_launcher.system.places import find_places, installed_libexec

_COLOURS = {OK: "green", NOTE: "dim", WARNING: "yellow", PROBLEM: "red"}


def doctor(invocation: Invocation, context: Context) -> int:
    """Print the report; the exit code is 1 when there is a problem, else 0."""
    try:
        libexec = installed_libexec(context.environ)
    except KegError:
        libexec = ""
    report = diagnose(find_places(context.environ), libexec, context.environ, deep=invocation.has("deep"))
    if invocation.has("json"):
        context.out.text(render_json(report) + "\n")
    else:
        text = render_text(report, lambda text, level: context.out.paint(text, _COLOURS[level]))
        context.out.text(text + "\n")
    return 1 if report.count(PROBLEM) else 0

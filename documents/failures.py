"""The reference of exit codes, generated from the error classes."""

import inspect
from types import ModuleType

from documents.markdown import page, sentence, table
from stigmer_launcher import errors as launcher
from stigmer_launcher.cli.grammar import EXIT_CODES
from stigmer_packaging.lib import errors as packaging

Failure = type[launcher.LauncherError] | type[packaging.PackagingError]
USUAL = (
    ("0", "Done.", ""),
    ("2", "The command line is wrong.", "Run the command with `--help`."),
    ("130", "Interrupted by ^C, SIGTERM or SIGHUP.", "Run it again. It resumes."),
)
BOTH = """\
Every failure prints `Error: …` with what happened, and `Hint: …` with what to do about it. The remedies below are the
defaults; many messages have a more specific one."""


def render_exit_codes() -> str:
    """Render the page: the exit codes of the launcher and of the pipeline."""
    codes = table(("code", "meaning"), [(str(code), sentence(meaning)) for code, meaning in EXIT_CODES])
    head = ("code", "what happened", "what to do")
    rows = [(str(error.exit_code), _about(error), sentence(error.remedy)) for error in errors_of(packaging)]
    return page(
        "Exit codes",
        BOTH,
        "## `stigmer`",
        codes,
        table(head, [(str(error.exit_code), _about(error), sentence(error.remedy)) for error in errors_of(launcher)]),
        "## `scripts/packaging`, and the scripts that call it",
        table(head, sorted((*USUAL, *rows), key=lambda row: int(row[0]))),
    )


def errors_of(module: ModuleType) -> list[Failure]:
    """Return the error classes that a module defines, sorted by exit code."""
    classes = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    failures = [each for each in classes if issubclass(each, launcher.LauncherError | packaging.PackagingError)]
    return sorted(failures, key=lambda error: error.exit_code)


def _about(error: Failure) -> str:
    if error.__bases__ == (Exception,):
        return "Any other failure; the message says which."
    return " ".join((inspect.getdoc(error) or "").split())

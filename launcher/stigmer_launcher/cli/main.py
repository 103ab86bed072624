"""Parses the command line, runs the command, and reports failures with a remedy and an exit code."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TextIO

from stigmer_launcher.cli.parse import parse
from stigmer_launcher.cli.terminal import Context, Terminal, terminal_of
from stigmer_launcher.errors import INTERRUPTED, LauncherError


def main(arguments: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run a command line and return its exit code; 1 when its output could not be written."""
    context = Context(environ, terminal_of(out, environ), terminal_of(err, environ))
    try:
        invocation = parse(arguments)
        module, _, function = invocation.command.run.partition(":")
        code: int = getattr(import_module(f"stigmer_launcher.cli.{module}"), function)(invocation, context)
    except LauncherError as error:
        code = _fail(context.err, error)
    except KeyboardInterrupt:
        context.err.line()
        code = INTERRUPTED
    except OSError as error:
        prefix = f"{error.filename}: " if error.filename else ""
        code = _fail(context.err, LauncherError(f"{prefix}{error.strerror or error}"))
    if failure := context.out.write_error():
        problem = f"cannot write to standard output: {failure.strerror}"
        code = max(code, _fail(context.err, LauncherError(problem, "free some space, or write to another file")))
    return code


def _fail(err: Terminal, error: LauncherError) -> int:
    err.line(f"{err.paint('Error:', 'red')} {error}")
    err.line(f"{err.paint('Hint:', 'bold')} {error.remedy}")
    return error.exit_code

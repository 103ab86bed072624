"""Entry point of the command line: parses it, runs the command, and reports failures with a remedy and an exit code."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TextIO

from stigmer_launcher.cli.grammar import Command
from stigmer_launcher.cli.parse import HelpRequest, Invocation, VersionRequest, parse
from stigmer_launcher.cli.terminal import Context, Terminal, terminal_of
from stigmer_launcher.errors import LauncherError

_INTERRUPTED = 130
_OUTPUT_REMEDY = "free some space, or write to another file"

Handler = Callable[[Invocation, Context], int]


def main(arguments: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run a command line and give its exit code."""
    context = Context(environ, terminal_of(out, environ), terminal_of(err, environ))
    return _report_output(context, _run_command(arguments, context))


def _run_command(arguments: Sequence[str], context: Context) -> int:
    try:
        return _run(parse(arguments), context)
    except LauncherError as error:
        return _fail(context.err, str(error), error.remedy, error.exit_code)
    except BrokenPipeError:  # whoever read our output has seen enough
        return 0
    except KeyboardInterrupt:
        context.err.line()
        return _INTERRUPTED
    except OSError as error:
        context.out.flush()
        lost = context.out.failure
        if lost and lost.errno == error.errno and not error.filename:  # the output's own, of which we report later
            return 0 if context.out.is_gone else LauncherError.exit_code
        place = f"{error.filename}: " if error.filename else ""
        return _fail(context.err, f"{place}{error.strerror or error}", LauncherError.remedy, LauncherError.exit_code)


def _report_output(context: Context, code: int) -> int:
    """Report output that could not be written; a reader or a terminal that has gone is no failure."""
    context.out.flush()
    error = context.out.failure
    if error is None or context.out.is_gone:
        return code
    return _fail(context.err, f"cannot write to standard output: {error.strerror}", _OUTPUT_REMEDY, code or 1)


def load(command: Command) -> Handler:
    """Import the function that carries out a command, and no other command's module."""
    module, _, function = command.run.partition(":")
    handler: Handler = getattr(import_module(f"stigmer_launcher.cli.{module}"), function)
    return handler


def _run(asked: Invocation | HelpRequest | VersionRequest, context: Context) -> int:
    if isinstance(asked, Invocation):
        return load(asked.command)(asked, context)
    if isinstance(asked, HelpRequest):
        from stigmer_launcher.cli.help import render_help

        context.out.text(render_help(asked.words))
    else:
        from stigmer_launcher.version import NAME, VERSION

        context.out.line(f"{NAME} {VERSION}")
    return 0


def _fail(err: Terminal, message: str, remedy: str, code: int) -> int:
    err.line(f"{err.paint('Error:', 'red')} {message}")
    err.line(f"{err.paint('Hint:', 'bold')} {remedy}")
    return code

"""The manual page launcher/man/stigmer.1, generated from the table in `grammar`. Source of the macros: man(7)."""

from documents.commands import ALIASES
from documents.markdown import sentence
from stigmer_launcher.cli.grammar import COMMANDS, EXIT_CODES, HELP, VARIABLES, VERSION, Command, Option
from stigmer_launcher.cli.help import usage

_FILES = (
    ("config.yaml", "the settings; `stigmer config` reads and changes them"),
    ("bin", "the components that run: a link to one version below versions/"),
    ("logs", "one log for each service, and the supervisor's own; at most five files of 10 MB each"),
    ("run", "locks and the state of the running server"),
    ("stigmer.db, temporal-data, storage, workspace, checkpoints", "the data of the services"),
)
_DESCRIPTION = """\
Stigmer runs AI workflows on your own machine. One supervisor starts Temporal, stigmer-server, workflow-runner and
agent-runner, restarts what fails, and stops them in order.

The command that starts them returns when every service has proved that it is ready, or fails and says why. A service
that crashes later is started again, after a pause that grows with each crash."""


def render_manual() -> str:
    """Render the page as roff."""
    commands = "".join(_command(command) for command in COMMANDS if command.name not in ALIASES)
    sections = (
        ("NAME", "stigmer \\- run AI workflows on your own machine\n"),
        ("SYNOPSIS", ".B stigmer\n.I COMMAND\n[\\fIOPTION\\fR]...\n"),
        ("DESCRIPTION", _escape(_DESCRIPTION).replace("\n\n", "\n.PP\n") + "\n"),
        ("COMMANDS", commands),
        ("OPTIONS", "".join(map(_option, (HELP, VERSION)))),
        ("ENVIRONMENT", "".join(_entry(name, text) for name, text in VARIABLES)),
        ("FILES", "Below ~/.stigmer, or below STIGMER_HOME:\n" + "".join(_entry(name, text) for name, text in _FILES)),
        ("EXIT STATUS", "".join(_entry(str(code), text) for code, text in EXIT_CODES)),
    )
    return '.TH STIGMER 1 "" "Stigmer" "User Commands"\n' + "".join(f".SH {name}\n{text}" for name, text in sections)


def _command(command: Command) -> str:
    description = f"\n{_escape(command.description)}" if command.description else ""
    return f".SS {_escape(usage(command))}\n{_escape(sentence(command.summary))}{description}\n" + "".join(
        map(_option, command.options)
    )


def _option(option: Option) -> str:
    names = f"\\-{option.short}, " if option.short else ""
    value = f" \\fI{_escape(option.metavar)}\\fR" if option.metavar else ""
    return f".TP\n\\fB{names}\\-\\-{_escape(option.name)}\\fR{value}\n{_escape(sentence(option.help))}\n"


def _entry(name: str, text: str) -> str:
    return f".TP\n.B {_escape(name)}\n{_escape(sentence(text))}\n"


def _escape(text: str) -> str:
    """Escape what roff would interpret: backslashes, hyphens, and dots at the beginning of a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n"))

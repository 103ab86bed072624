"""`--help`: the help of each command and group, made from the table in `grammar`."""

from collections.abc import Iterable, Iterator

from stigmer_launcher import version
from stigmer_launcher.cli.grammar import EXIT_CODES, GROUPS, HELP, ROOT, VARIABLES, Command, Option, find, subtree
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, columns


def show_help(invocation: Invocation, context: Context) -> int:
    """Print the help about a command or a group."""
    context.out.write(render_help(invocation.command.words))
    return 0


def show_version(_: Invocation, context: Context) -> int:
    """Print the version of the launcher."""
    context.out.line(f"{version.NAME} {version.VERSION}")
    return 0


def render_help(words: tuple[str, ...]) -> str:
    """Return the help about a command or a group; without words, about all commands."""
    return "\n".join(_parts(find(words)))


def _parts(command: Command) -> Iterator[str]:
    yield f"{usage(command)} - {command.summary}\n"
    if command not in GROUPS:
        options = "".join(f" [{describe_option(option).rpartition(', ')[2]}]" for option in command.options)
        yield f"Usage: {usage(command)}{options}\n"
    if command.description:
        yield command.description + "\n"
    if command.choices:
        yield f"{command.arguments[0]} is one of {', '.join(command.choices)}.\n"
    hidden = command if command.words else find(("server", "start"))  # an alias of `server`
    if below := [each for each in subtree(command.words) if each != hidden]:
        yield _columns("Commands", ((usage(each), each.summary) for each in below))
    yield _columns("Options", ((describe_option(option), option.help) for option in (*command.options, HELP)))
    if command is ROOT:
        yield "Environment:\n" + "".join(f"  {name}\n      {text}\n" for name, text in VARIABLES)
        yield _columns("Exit codes", ((str(code), meaning) for code, meaning in EXIT_CODES))
        yield "Run `stigmer COMMAND --help` for the help of one command.\n"


def usage(command: Command) -> str:
    """Return the words and arguments of a command as they are typed."""
    rest = (f"[{command.rest}]...",) if command.rest else ()
    return " ".join((command.full_name, *command.arguments, *rest))


def describe_option(option: Option) -> str:
    """Return an option's flags and metavar: `-n, --lines NUMBER`."""
    return f"{', '.join(reversed(option.flags))} {option.metavar}".rstrip()


def _columns(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join((f"{heading}:", *columns(rows), ""))

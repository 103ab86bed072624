"""The help texts, made from the table in `grammar`."""

from collections.abc import Iterable, Sequence

from stigmer_launcher.cli.grammar import COMMANDS, EXIT_CODES, GROUPS, HELP, VARIABLES, VERSION, Command, Option
from stigmer_launcher.cli.terminal import columns


def render_help(words: Sequence[str]) -> str:
    """Return the help about a command or a group; about everything without words."""
    if not words:
        return _render_all()
    exact = next((command for command in COMMANDS if command.words == tuple(words)), None)
    parts = [_render_command(exact)] if exact else [f"stigmer {words[0]} - {GROUPS[words[0]]}\n"]
    if len(words) == 1 and words[0] in GROUPS:
        below = [command for command in COMMANDS if command.words[0] == words[0] and len(command.words) > 1]
        parts.append("Commands:\n" + _columns((usage(command), command.summary) for command in below))
    return "\n".join(parts)


def usage(command: Command) -> str:
    """Return the words and arguments of a command as they are typed."""
    rest = (f"[{command.rest}]...",) if command.rest else ()
    return " ".join(("stigmer", *command.words, *command.arguments, *rest))


def describe_option(option: Option) -> str:
    """Return an option as it is typed: `-n, --lines NUMBER`."""
    value = f" {option.value}" if option.value else ""
    return (f"-{option.short}, " if option.short else "") + f"--{option.name}{value}"


def _render_all() -> str:
    rows = ((usage(command), command.summary) for command in COMMANDS if command.name != "server start")
    return "\n".join(
        (
            "stigmer - run AI workflows on your own machine\n",
            "Commands:\n" + _columns(rows),
            "Options:\n" + _columns((describe_option(option), option.help) for option in (HELP, VERSION)),
            "Environment:\n" + "".join(f"  {name}\n      {text}\n" for name, text in VARIABLES),
            "Exit codes:\n" + _columns((str(code), meaning) for code, meaning in EXIT_CODES),
            "`stigmer COMMAND --help` tells more about one of them, `man stigmer` everything.\n",
        )
    )


def _render_command(command: Command) -> str:
    options = "".join(f" [{describe_option(option).rpartition(', ')[2]}]" for option in command.options)
    parts = [f"{usage(command)} - {command.summary}\n", f"Usage: {usage(command)}{options}\n"]
    if command.more:
        parts.append(command.more + "\n")
    if command.choices:
        parts.append(f"{command.arguments[0]} is one of {', '.join(command.choices)}.\n")
    parts.append("Options:\n" + _columns((describe_option(option), option.help) for option in (*command.options, HELP)))
    return "\n".join(parts)


def _columns(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{line}\n" for line in columns(rows))

"""Parser of the command line, driven by the table in `grammar`."""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from stigmer_launcher.cli.grammar import HELP, Command, Option, find, subtree
from stigmer_launcher.errors import UsageError, suggestion


class Invocation(NamedTuple):
    """A parsed command line: the command, its options with their values (empty for a switch), and its arguments."""

    command: Command
    options: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()

    def has(self, switch: str) -> bool:
        """Return whether a switch was given."""
        return switch in dict(self.options)

    def value(self, option: str, default: str = "") -> str:
        """Return an option's last value."""
        return dict(self.options).get(option, default)

    def all_values(self, option: str) -> tuple[str, ...]:
        """Return every value of an option that may be given several times."""
        return tuple(value for name, value in self.options if name == option)


def parse(arguments: Sequence[str]) -> Invocation:
    """Parse the arguments after the program's name; UsageError says what is wrong and may suggest a correction."""
    words = tuple(takewhile(_is_argument, arguments))
    pending = list(arguments[len(words) :])
    if words[:1] == ("help",):  # `help TOPIC` is `TOPIC --help`
        words = words[1:]
        if pending and pending[0] not in HELP.flags:
            raise _usage_error(f"`stigmer help` has no option {pending[0]}", find(words))
        pending = [HELP.flags[0]]
    command = find(words)
    given = words[len(command.words) :]
    _refuse_excess(command, given)
    options: list[tuple[str, str]] = []
    while pending and pending[0] != "--":
        if _is_argument(pending[0]):
            given += (pending.pop(0),)
            continue
        option, value = _take_option(pending, command)
        if option.run:
            return Invocation(command._replace(run=option.run))
        options.append((option.name, value))
    return Invocation(command, tuple(options), _check_arguments(command, (*given, *pending[1:])))


def _is_argument(word: str) -> bool:
    return word == "-" or not word.startswith("-")


def _take_option(pending: list[str], command: Command) -> tuple[Option, str]:
    """Take an option and its value from `pending`; UsageError for an unknown option, or a missing or unexpected value.

    Understands `--name`, `--name=value`, `--name value`, `-n value`, `-nvalue`, and several short switches together.
    """
    word = pending.pop(0)
    flag, equals, value = word.partition("=") if word.startswith("--") else (word[:2], "", word[2:])
    option = command.option(flag)
    if option is None:
        raise _unknown_option(command, flag, pending)
    if option.metavar:
        if not (equals or value or pending):
            raise _usage_error(f"--{option.name} needs a value: {option.metavar}", command)
        return option, value if equals or value else pending.pop(0)
    if equals or value.startswith("-"):
        raise _usage_error(f"{flag} takes no value", command)
    if value:
        pending.insert(0, f"-{value}")
    return option, ""


def _unknown_option(command: Command, flag: str, following: Sequence[str]) -> UsageError:
    """Say that an option belongs after the words that follow it or, if no command there has it, that it is unknown."""
    for other in subtree(find((*command.words, *filter(_is_argument, following))).words):
        if other.option(flag):
            return _usage_error(f"{flag} comes after the command: `{other.full_name} {flag}`", other)
    known = [f"--{option.name}" for option in (*command.options, HELP)]
    return _usage_error(f"`{command.full_name}` has no option {flag}{suggestion(flag, known)}", command)


def _check_arguments(command: Command, given: tuple[str, ...]) -> tuple[str, ...]:
    _refuse_excess(command, given)
    if missing := command.arguments[len(given) :]:
        raise _usage_error(f"`{command.full_name}` needs {' '.join(missing)}", command)
    if command.choices and given[0] not in command.choices:
        choices = ", ".join(command.choices)
        raise _usage_error(f"invalid value {given[0]!r} for {command.arguments[0]}: expected one of {choices}", command)
    return given


def _refuse_excess(command: Command, given: Sequence[str]) -> None:
    """Raise UsageError for more arguments than the command takes; they may be words of a longer or unknown command."""
    if command.rest or len(given) <= len(command.arguments):
        return
    words = (*command.words, *given)
    if (whole := find(words)) != command:
        raise _usage_error(f"options come after the whole command, `{whole.full_name}`", whole)
    known = [each.name for each in subtree(command.words)]
    if len(known) > 1:
        typed = " ".join(words[:2])
        raise _usage_error(f"there is no command `stigmer {typed}`{suggestion(typed, known)}", command)
    raise _usage_error(f"`{command.full_name}` does not take {given[len(command.arguments)]!r}", command)


def _usage_error(message: str, command: Command) -> UsageError:
    return UsageError(message, f"run `{command.full_name} --help`")

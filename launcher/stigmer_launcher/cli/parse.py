"""Parser of the command line, driven by the table in `grammar`."""

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from stigmer_launcher.cli.grammar import GROUPS, HELP, ROOT, VERSION, Command, find, subtree
from stigmer_launcher.errors import UsageError


class Invocation(NamedTuple):
    """What was asked: a command with its options, those without a value being switches, and its arguments."""

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
    """Read the arguments after the program's name; UsageError says what is wrong and what may have been meant."""
    words = tuple(takewhile(lambda word: not word.startswith("-"), arguments))
    rest = tuple(arguments[len(words) :])
    if words[:1] == ("help",):  # `help TOPIC` is `TOPIC --help`
        words = words[1:]
        if rest and rest[0] not in HELP.flags:
            raise _wrong(f"`stigmer help` has no option {rest[0]}", find(words))
        rest = HELP.flags[:1]
    command = find(words)
    leading = words[len(command.words) :]
    given, following = _scan(rest, command)
    _refuse_excess(command, leading)
    for flag, value in given:
        if flag == "--":  # of a group, which takes no arguments: refused below
            break
        if value is not None and flag in (*HELP.flags, *VERSION.flags):
            raise _wrong(f"{flag} takes no value", command)
        if flag in HELP.flags:
            return Invocation(command._replace(run="help:show_help"))
        if flag in VERSION.flags and command is ROOT:
            return Invocation(command._replace(run="help:show_version"))
    options = tuple(_read_option(command, flag, value, following) for flag, value in given)
    return Invocation(command, options, _check_arguments(command, (*leading, *following)))


def _scan(rest: Sequence[str], command: Command) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Part flags with their values from arguments.

    Understands `--name`, `--name=value`, `--name value`, `-n value`, `-nvalue`, and several short switches together.
    """
    valued = {flag for option in command.options if option.value for flag in option.flags}
    switches = {flag for option in (*command.options, HELP, VERSION) for flag in option.flags} - valued
    given: list[tuple[str, str | None]] = []
    arguments: list[str] = []
    words = iter(rest)
    for word in words:
        if word == "--" and command not in GROUPS:
            arguments += words
        elif word.startswith("--"):
            flag, equals, value = word.partition("=")
            given.append((flag, value if equals else next(words, None) if flag in valued else None))
        elif word.startswith("-") and len(word) > 1:
            for place, letter in enumerate(word[1:], 2):
                if f"-{letter}" in valued:
                    given.append((f"-{letter}", word[place:] or next(words, None)))
                    break
                given.append((f"-{letter}", None))
                if f"-{letter}" not in switches:
                    break
        else:
            arguments.append(word)
    return given, arguments


def _read_option(command: Command, flag: str, value: str | None, following: Sequence[str]) -> tuple[str, str]:
    """Return the option's name and its value; UsageError when the command has no such option, or it wants another value."""
    option = command.option(flag)
    if option is None:
        raise _unknown_option(command, flag, following)
    if option.value and value is None:
        raise _wrong(f"--{option.name} needs a value: {option.value}", command)
    if value is not None and not option.value:
        raise _wrong(f"{flag} takes no value", command)
    return option.name, value or ""


def _unknown_option(command: Command, flag: str, following: Sequence[str]) -> UsageError:
    """Explain why a command lacks an option: it belongs after the words that follow, or there is none like it."""
    for other in subtree(find((*command.words, *following)).words):
        if other.option(flag):
            return _wrong(f"{flag} comes after the command: `{other.full_name} {flag}`", other)
    known = [f"--{option.name}" for option in (*command.options, HELP)]
    return _wrong(f"`{command.full_name}` has no option {flag}{_meant(flag, known)}", command)


def _check_arguments(command: Command, given: tuple[str, ...]) -> tuple[str, ...]:
    _refuse_excess(command, given)
    if missing := command.arguments[len(given) :]:
        raise _wrong(f"`{command.full_name}` needs {' '.join(missing)}", command)
    if command.choices and given[0] not in command.choices:
        choices = ", ".join(command.choices)
        raise _wrong(f"invalid value {given[0]!r} for {command.arguments[0]}: expected one of {choices}", command)
    return given


def _refuse_excess(command: Command, given: Sequence[str]) -> None:
    """UsageError when these are more arguments than the command takes; words of another command may be among them."""
    if command.rest or len(given) <= len(command.arguments):
        return
    words = (*command.words, *given)
    if (whole := find(words)) != command:
        raise _wrong(f"options come after the whole command, `{whole.full_name}`", whole)
    known = [each.name for each in subtree(command.words)]
    if len(known) > 1:
        typed = " ".join(words[:2])
        raise _wrong(f"there is no command `stigmer {typed}`{_meant(typed, known)}", command)
    raise _wrong(f"`{command.full_name}` does not take {given[len(command.arguments)]!r}", command)


def _meant(typed: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(typed, known, n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def _wrong(message: str, command: Command) -> UsageError:
    return UsageError(message, f"run `{command.full_name} --help`")

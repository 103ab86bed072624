"""Parser of the command line, driven by the table in `grammar`."""

from collections.abc import Sequence
from typing import NamedTuple

from stigmer_launcher.cli.grammar import COMMANDS, GROUPS, HELP, VERSION, Command, Option
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


class HelpRequest(NamedTuple):
    """Help is wanted, about the command or the group of these words; about everything without any."""

    words: tuple[str, ...]


class VersionRequest(NamedTuple):
    """The version is wanted."""


def parse(arguments: Sequence[str]) -> Invocation | HelpRequest | VersionRequest:
    """Read the arguments after the program's name; UsageError says what is wrong and what may have been meant."""
    words, rest = _split(arguments)
    if words[:1] == ("help",):  # `help TOPIC` is `TOPIC --help`
        if rest and rest[0] not in HELP.flags:
            raise UsageError(f"`stigmer help` has no option {rest[0]}", _see(words[1:]))
        words, rest = words[1:], HELP.flags[:1]
    command = _longest_match(words)
    given, more = _scan(rest, command.options if command else ())
    for flag, value in given:
        if value is not None and flag in (*HELP.flags, *VERSION.flags):
            raise UsageError(f"{flag} takes no value", _see(words))
    asked = next((option for flag, _ in given for option in (HELP, VERSION) if flag in option.flags), None)
    if asked is VERSION and not words:
        return VersionRequest()
    if asked is HELP or (command is None and not rest):
        return HelpRequest(_topic(words, command))
    if command is None:
        raise _misplaced(_topic(words, None), rest[0].partition("=")[0], more)
    options = tuple(_read_option(command, flag, value) for flag, value in given)
    arguments = (*words[len(command.words) :], *more)
    _require_arguments(command, arguments)
    return Invocation(command, options, arguments)


def _split(arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part the leading words from what begins with the first option."""
    count = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return tuple(arguments[:count]), tuple(arguments[count:])


def _scan(rest: Sequence[str], options: Sequence[Option]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Part flags with their values from arguments.

    Understands `--name`, `--name=value`, `--name value`, `-n value`, `-nvalue`, and several short switches together.
    """
    valued = {flag for option in options if option.value for flag in option.flags}
    switches = {flag for option in (*options, HELP, VERSION) for flag in option.flags} - valued
    given: list[tuple[str, str | None]] = []
    arguments: list[str] = []
    words = iter(rest)
    for word in words:
        if word == "--":
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


def _longest_match(words: Sequence[str]) -> Command | None:
    matches = [command for command in COMMANDS if tuple(words[: len(command.words)]) == command.words]
    return max(matches, key=lambda command: len(command.words), default=None)


def _topic(words: tuple[str, ...], command: Command | None) -> tuple[str, ...]:
    """Return the words of the command or group that help is wanted about; UsageError when there is no such command."""
    if command is None:
        if words and (words[0] not in GROUPS or len(words) > 1):
            raise _unknown(words)
        return words
    extra = words[len(command.words) :]
    if len(extra) > len(command.arguments):
        _require_arguments(command, extra)
    return command.words


def _misplaced(topic: tuple[str, ...], flag: str, words: Sequence[str]) -> UsageError:
    """Explain why an option cannot come first: it belongs after a command, or there is no such option."""
    typed = _longest_match((*topic, *words))
    for command in (typed,) if typed else COMMANDS:
        if command.words[: len(topic)] == topic and any(flag in option.flags for option in command.options):
            return UsageError(f"{flag} comes after the command: `stigmer {command.name} {flag}`", _see(command.words))
    program = " ".join(("stigmer", *topic))
    return UsageError(
        f"`{program}` has no option {flag}{_meant(flag, ('--help', *([] if topic else ['--version'])))}", _see(topic)
    )


def _read_option(command: Command, flag: str, value: str | None) -> tuple[str, str]:
    """Return the option's name and its value; UsageError when the command has no such option, or it wants another value."""
    option = next((option for option in command.options if flag in option.flags), None)
    if option is None:
        known = [f"--{option.name}" for option in (*command.options, HELP)]
        raise UsageError(f"`stigmer {command.name}` has no option {flag}{_meant(flag, known)}", _see(command.words))
    if option.value and value is None:
        raise UsageError(f"--{option.name} needs a value: {option.value}", _see(command.words))
    if value is not None and not option.value:
        raise UsageError(f"{flag} takes no value", _see(command.words))
    return option.name, value or ""


def _require_arguments(command: Command, given: Sequence[str]) -> None:
    wanted = command.arguments
    if len(given) < len(wanted):
        missing = " ".join(wanted[len(given) :])
        raise UsageError(f"`stigmer {command.name}` needs {missing}", _see(command.words))
    if len(given) > len(wanted) and not command.rest:
        longer = (*command.words, given[0])
        if _longest_match(longer) != command:
            raise UsageError(f"options come after the whole command, `stigmer {' '.join(longer)}`", _see(longer))
        if command.name in GROUPS:
            raise _unknown(longer)
        raise UsageError(f"`stigmer {command.name}` does not take {given[len(wanted)]!r}", _see(command.words))
    if command.choices and given[0] not in command.choices:
        choices = ", ".join(command.choices)
        raise UsageError(f"invalid value {given[0]!r} for {wanted[0]}: expected one of {choices}", _see(command.words))


def _unknown(words: tuple[str, ...]) -> UsageError:
    group = words[:1] if words[0] in GROUPS else ()
    near = [command.name for command in COMMANDS if command.words[: len(group)] == group]
    typed = " ".join(words)
    return UsageError(f"there is no command `stigmer {typed}`{_meant(typed, near)}", _see(group))


def _meant(typed: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(typed, known, n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def _see(words: Sequence[str]) -> str:
    return f"run `{' '.join(('stigmer', *words, '--help'))}`"

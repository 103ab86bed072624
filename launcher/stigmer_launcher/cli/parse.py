"""Parser of the command line, driven by the table in `grammar`."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stigmer_launcher.cli.grammar import COMMANDS, GROUPS, HELP, VERSION, Command, Option
from stigmer_launcher.errors import UsageError


class Invocation(NamedTuple):
    """What was asked: a command with its options and arguments, or help about the words given."""

    command: Command
    switches: frozenset[str] = frozenset()
    values: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()

    def has(self, switch: str) -> bool:
        """Return whether a switch was given."""
        return switch in self.switches

    def value(self, option: str, default: str = "") -> str:
        """Return an option's last value."""
        return ([default] + [value for name, value in self.values if name == option])[-1]

    def all_values(self, option: str) -> tuple[str, ...]:
        """Return every value of an option that may be given several times."""
        return tuple(value for name, value in self.values if name == option)


class HelpRequest(NamedTuple):
    """Help is wanted, about the command or the group of these words; about everything without any."""

    words: tuple[str, ...]


class VersionRequest(NamedTuple):
    """The version is wanted."""


def parse(arguments: Sequence[str]) -> Invocation | HelpRequest | VersionRequest:
    """Read the arguments after the program's name; UsageError says what is wrong and what may have been meant."""
    words, rest = _split(arguments)
    if words[:1] == ("help",):
        return _help(words[1:], rest)
    command = _longest_match(words)
    asked = _requested(rest, command.options if command else ())
    if not words:
        return _without_command(asked, rest)
    if asked is HELP:
        return HelpRequest(_topic(words, command))
    if command is None:
        return _group(words, rest)
    return _read_rest(command, (*words[len(command.words) :], *rest))


def _help(topic: tuple[str, ...], rest: Sequence[str]) -> HelpRequest:
    """Read `stigmer help TOPIC`: a command or a group, and no options."""
    if topic and topic not in [command.words for command in COMMANDS] and topic not in [(group,) for group in GROUPS]:
        raise _unknown(topic)
    if rest and _requested(rest, ()) is not HELP:
        raise UsageError(f"`stigmer help` has no option {rest[0]}", _see_words(topic))
    return HelpRequest(topic)


def _without_command(asked: Option | None, rest: Sequence[str]) -> HelpRequest | VersionRequest:
    if asked is VERSION:
        return VersionRequest()
    if rest and asked is None:
        raise _misplaced(rest[0].partition("=")[0], [word for word in rest if not word.startswith("-")])
    return HelpRequest(())


def _group(words: tuple[str, ...], rest: Sequence[str]) -> HelpRequest:
    """Return the help of a group that was named without a command of it."""
    topic = _topic(words, None)
    if rest:
        raise UsageError(f"`stigmer {words[0]}` has no option {rest[0]}", _see_words(topic))
    return HelpRequest(topic)


def _misplaced(name: str, words: Sequence[str]) -> UsageError:
    """Explain why an option cannot come first: it belongs after a command, or there is no such option."""
    typed = _longest_match(words)
    for command in (typed,) if typed else COMMANDS:
        if any(name in option.flags for option in command.options):
            return UsageError(f"{name} comes after the command: `stigmer {command.name} {name}`", _see(command))
    return UsageError(f"`stigmer` has no option {name}{_meant(name, ('--help', '--version'))}", _see_words(()))


def _topic(words: tuple[str, ...], command: Command | None) -> tuple[str, ...]:
    """Return the words of the command or group that help is wanted about; UsageError when there is no such command."""
    if command is None:
        if words[0] not in GROUPS or len(words) > 1:
            raise _unknown(words)
        return words
    extra = words[len(command.words) :]
    if len(extra) > len(command.arguments):
        _require_arguments(command, extra)
    return command.words


def _split(arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part the leading words from what begins with the first option."""
    count = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    return tuple(arguments[:count]), tuple(arguments[count:])


def _requested(rest: Sequence[str], options: Sequence[Option]) -> Option | None:
    """Find `--help` or `--version` among the options, but not where it is the value of another option."""
    words = iter(rest)
    for word in words:
        if word == "--":
            break
        for option in (HELP, VERSION):
            if word in option.flags:
                return option
        if _takes_next(word, options):
            next(words, None)
    return None


def _takes_next(word: str, options: Sequence[Option]) -> bool:
    """Return whether the word after this one is an option's value: `--message`, `-m` and `-xm`, not `-mTEXT`."""
    valued = [option for option in options if option.value]
    if word.startswith("--"):
        return any(word == f"--{option.name}" for option in valued)
    letters = {option.short for option in valued if option.short}
    return word.startswith("-") and next((place for place, c in enumerate(word) if c in letters), 0) == len(word) - 1


def _longest_match(words: Sequence[str]) -> Command | None:
    matches = [command for command in COMMANDS if tuple(words[: len(command.words)]) == command.words]
    return max(matches, key=lambda command: len(command.words), default=None)


def _read_rest(command: Command, rest: Sequence[str]) -> Invocation:
    switches: set[str] = set()
    values: list[tuple[str, str]] = []
    arguments: list[str] = []
    words = iter(rest)
    for word in words:
        if word == "--":
            arguments += words
        elif len(word) > 1 and word.startswith("-"):
            for option, value in _read_options(command, word, words):
                if option.value:
                    values.append((option.name, value))
                else:
                    switches.add(option.name)
        else:
            arguments.append(word)
    _require_arguments(command, arguments)
    return Invocation(command, frozenset(switches), tuple(values), tuple(arguments))


def _read_options(command: Command, word: str, following: Iterator[str]) -> Iterator[tuple[Option, str]]:
    """Read `--name`, `--name=value`, `--name value`, `-n value`, `-nvalue` or several short switches together."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        option = _find(command, name)
        if equals and not option.value:
            raise UsageError(f"{name} takes no value", _see(command))
        yield option, _value(command, option, value if equals else None, following)
        return
    letters = word[1:]
    while letters:
        option = _find(command, f"-{letters[0]}")
        letters = letters[1:]
        yield option, _value(command, option, (letters or None) if option.value else None, following)
        if option.value:
            return


def _value(command: Command, option: Option, given: str | None, following: Iterator[str]) -> str:
    if not option.value:
        return ""
    value = given if given is not None else next(following, None)
    if value is None:
        raise UsageError(f"--{option.name} needs a value: {option.value}", _see(command))
    return value


def _find(command: Command, name: str) -> Option:
    for option in command.options:
        if name in option.flags:
            return option
    known = [f"--{option.name}" for option in (*command.options, HELP)]
    raise UsageError(f"`stigmer {command.name}` has no option {name}{_meant(name, known)}", _see(command))


def _require_arguments(command: Command, given: Sequence[str]) -> None:
    wanted = command.arguments
    if len(given) < len(wanted):
        missing = " ".join(wanted[len(given) :])
        raise UsageError(f"`stigmer {command.name}` needs {missing}", _see(command))
    if len(given) > len(wanted) and not command.rest:
        longer = (*command.words, given[0])
        if _longest_match(longer) != command:
            raise UsageError(f"options come after the whole command, `stigmer {' '.join(longer)}`", _see_words(longer))
        if command.name in GROUPS:
            raise _unknown(longer)
        raise UsageError(f"`stigmer {command.name}` does not take {given[len(wanted)]!r}", _see(command))
    if command.choices and given[0] not in command.choices:
        choices = ", ".join(command.choices)
        raise UsageError(f"invalid value {given[0]!r} for {wanted[0]}: expected one of {choices}", _see(command))


def _unknown(words: tuple[str, ...]) -> UsageError:
    group = words[:1] if words[0] in GROUPS else ()
    near = [command.name for command in COMMANDS if command.words[: len(group)] == group]
    typed = " ".join(words)
    return UsageError(f"there is no command `stigmer {typed}`{_meant(typed, near)}", _see_words(group))


def _meant(typed: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(typed, known, n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def _see(command: Command) -> str:
    return _see_words(command.words)


def _see_words(words: Sequence[str]) -> str:
    return f"run `{' '.join(('stigmer', *words, '--help'))}`"

"""`stigmer completion SHELL`: what the shells complete, made from the table in `grammar`. Reads nothing but the keg."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING

from stigmer_launcher.cli.grammar import COMMANDS, GROUPS, HELP, VERSION, Command, Option
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.config.schema import SCHEMA
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.install.manifest import read_keg
from stigmer_launcher.system.places import installed_libexec

if TYPE_CHECKING:
    from stigmer_launcher.install.payload import Payload

Names = Mapping[str, Sequence[str]]


def completion(invocation: Invocation, context: Context) -> int:
    """Print the completions for one shell."""
    context.out.text(render(invocation.arguments[0], names_of(context.environ)))
    return 0


def names_of(environ: Mapping[str, str]) -> Names:
    """Return the names that options and arguments can have, as far as the keg tells them."""
    try:
        return names_in(read_keg(installed_libexec(environ)).payload)
    except LauncherError:
        return {"KEY": tuple(SCHEMA)}


def names_in(payload: "Payload") -> Names:
    """Return the names that options and arguments can have with these components."""
    ports = tuple(f"{name}=" for part in payload.components for name, _ in part.ports)
    services = tuple(part.name for part in payload.components)
    return {"KEY": tuple(SCHEMA), "ports": ports, "services": services, "SERVICE": services}


def render(shell: str, names: Names) -> str:
    """Return the completions of a shell as text."""
    renderers: dict[str, Callable[[Names], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return renderers[shell](names)


def _bash(names: Names) -> str:
    return f"""# bash completion for stigmer
_stigmer() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} words= word value=
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $value/$word in  # bash parts words at "="
            */=) value=1 ;;
            1/*) value= ;;
            {"|".join(f"/{flag}" for flag in _flags_with_value())}) value=1 ;;
            /-*) ;;
            *) words="$words $word" ;;
        esac
    done
    [[ $previous == = ]] && previous=${{COMP_WORDS[COMP_CWORD - 2]}}
    case "${{words# }}/$previous" in
{_bash_values(names)}    esac
    case "${{words# }}" in
{_bash_words(names)}    esac
}}
complete -o default -F _stigmer stigmer
"""


def _bash_values(names: Names) -> str:
    cases = ""
    for patterns, choices in _choices_of_options(names):
        cases += f'        {patterns}) COMPREPLY=($(compgen -W "{choices}" -- "$current")); return ;;\n'
    return cases


def _choices_of_options(names: Names) -> Iterator[tuple[str, str]]:
    """Yield the values of each option that has some, after the shell's patterns for the words before them."""
    for command in COMMANDS:
        for option in command.options:
            if choices := names.get(option.choices, ()):
                yield "|".join(f'"{command.name}"*/{flag}' for flag in option.flags), " ".join(choices)


def _bash_words(names: Names) -> str:
    cases = ""
    for words, following in _tree(names).items():
        cases += f'        "{" ".join(words)}") COMPREPLY=($(compgen -W "{" ".join(following)}" -- "$current")) ;;\n'
    return cases


def _zsh(names: Names) -> str:
    cases = ""
    for words, following in _tree(names).items():
        described = " ".join(quote(f"{name}:{_about(words, name)}".removesuffix(":")) for name in following)
        cases += f'        "{" ".join(words)}") described=({described}) ;;\n'
    values = ""
    for patterns, choices in _choices_of_options(names):
        values += f"        {patterns}) compadd -- {choices}; return ;;\n"
    return f"""#compdef stigmer
_stigmer() {{
    local word= value=
    local -a typed described
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case $value/$word in
            1/*) value= ;;
            {"|".join(f"/{flag}" for flag in _flags_with_value())}) value=1 ;;
            /-*) ;;
            *) typed+=("$word") ;;
        esac
    done
    case "${{typed[*]}}/${{words[CURRENT-1]}}" in
{values}    esac
    case "${{typed[*]}}" in
{cases}        *) _files; return ;;
    esac
    _describe stigmer described
}}
if [[ $funcstack[1] == _stigmer ]]; then
    _stigmer "$@"
else
    compdef _stigmer stigmer
fi
"""


def _fish(names: Names) -> str:
    lines = ["# fish completion for stigmer", "complete -c stigmer -f"]
    for words, following in _tree(names).items():
        condition = f"__stigmer_typed {' '.join(words)}".strip()
        lines += [
            f"complete -c stigmer -n '{condition}' -a {quote(name)} -d {quote(_about(words, name))}"
            for name in following
            if not name.startswith("-")
        ]
    for command in COMMANDS:
        condition = f"__stigmer_typed {command.name}"
        lines += [_fish_option(condition, option, names) for option in (*command.options, HELP)]
    lines += [_fish_option("__stigmer_typed", option, names) for option in (HELP, VERSION)]
    return _fish_typed() + "\n".join(lines) + "\n"


def _fish_typed() -> str:
    """Return the function that tells whether the words typed so far, without options and their values, are these."""
    return f"""function __stigmer_typed
    set -l typed
    set -l value no
    for word in (commandline -opc)[2..-1]
        if test $value = yes
            set value no
        else if contains -- $word {" ".join(_flags_with_value())}
            set value yes
        else if not string match -q -- '-*' $word
            set -a typed $word
        end
    end
    test "$typed" = "$argv"
end
"""


def _fish_option(condition: str, option: Option, names: Names) -> str:
    line = f"complete -c stigmer -n '{condition}' -l {option.name} -d {quote(option.help)}"
    line += f" -s {option.short}" if option.short else ""
    line += " -x" if option.value else ""
    choices = names.get(option.choices, ())
    return line + (f" -a {quote(' '.join(choices))}" if choices else "")


def _tree(names: Names) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Give, for every beginning of a command, the words and options that can follow."""
    tree: dict[tuple[str, ...], list[str]] = {(): [f"--{HELP.name}", f"--{VERSION.name}"]}
    for command in COMMANDS:
        for depth, word in enumerate(command.words):
            following = tree.setdefault(command.words[:depth], [])
            if word not in following:
                following.append(word)
        tree.setdefault(command.words, []).extend(_after(command, names))
    return {words: tuple(following) for words, following in tree.items()}


def _after(command: Command, names: Names) -> list[str]:
    first = command.arguments[0] if command.arguments else command.rest
    arguments = command.choices or names.get(first, ())
    return [*arguments, *(f"--{option.name}" for option in (*command.options, HELP))]


def _about(words: tuple[str, ...], name: str) -> str:
    """Say what a word or an option at this place does."""
    found = next((command for command in COMMANDS if command.words == (*words, name)), None)
    if name in GROUPS and not words:
        return GROUPS[name]
    if found:
        return found.summary
    options = [option for command in COMMANDS if command.words == words for option in command.options]
    return next((option.help for option in (*options, HELP, VERSION) if f"--{option.name}" == name), "")


def _flags_with_value() -> list[str]:
    """List the options of all commands that are followed by a value."""
    options = [option for command in COMMANDS for option in command.options if option.value]
    return list(dict.fromkeys(flag for option in options for flag in option.flags))

"""`stigmer completion SHELL`: the completions of each shell, made from the table in `grammar` and the keg's components."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from stigmer_launcher.cli.grammar import COMMANDS, GROUPS, HELP, Command
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.config.schema import SCHEMA
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.system.places import installed_libexec

Names = Mapping[str, Sequence[str]]  # by metavar (`SERVICE`), the names that can be typed for it
Choices = dict[str, str]  # words that can come next, and their descriptions

_FLAGS_WITH_VALUE = list(
    dict.fromkeys(flag for command in COMMANDS for option in command.options if option.metavar for flag in option.flags)
)
# Collects the words typed so far, without options and their values, for bash and zsh; bash splits words at "=".
_COLLECT_TYPED = f"""\
        case $value/$word in
            */=) value=1 ;;
            1/*) value= ;;
            {"|".join(f"/{flag}" for flag in _FLAGS_WITH_VALUE)}) value=1 ;;
            /-*) ;;
            *) typed="$typed $word" ;;
        esac"""


def completion(invocation: Invocation, context: Context) -> int:
    """Print the completions for one shell."""
    context.out.write(render(invocation.arguments[0], names_of(context.environ)))
    return 0


def names_of(environ: Mapping[str, str]) -> Names:
    """Return the names to complete; of services and ports none when the keg cannot be read."""
    try:
        parts = read_keg(installed_libexec(environ)).payload.components
    except LauncherError:
        return {"KEY": tuple(SCHEMA)}
    ports = tuple(f"{name}=" for part in parts for name, _ in part.ports)
    return {"KEY": tuple(SCHEMA), "NAME=NUMBER": ports, "SERVICE": tuple(part.name for part in parts)}


def render(shell: str, names: Names) -> str:
    """Return the completion script of a shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](names)


def _bash(names: Names) -> str:
    cases = "".join(f'        {pattern}) choices="{" ".join(choices)}" ;;\n' for pattern, choices in _patterns(names))
    return f"""# bash completion for stigmer
_stigmer() {{
    local IFS=$' \\t\\n' typed= word= value= choices= current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
{_COLLECT_TYPED}
    done
    [[ $current$previous == =-* ]] && current=
    [[ $previous == = ]] && previous=${{COMP_WORDS[COMP_CWORD - 2]}}
    case "${{typed# }}/$previous" in
{cases}    esac
    COMPREPLY=($(compgen -W "$choices" -- "$current")) && [[ $COMPREPLY == *= ]] && compopt -o nospace 2> /dev/null || :
}}
complete -o default -F _stigmer stigmer
"""


def _zsh(names: Names) -> str:
    cases = ""
    for pattern, choices in _patterns(names):
        described = " ".join(quote(f"{name}:{about}".removesuffix(":")) for name, about in choices.items())
        cases += f"        {pattern}) choices=({described}) ;;\n"
    return f"""#compdef stigmer
_stigmer() {{
    local typed= word= value= previous=${{words[CURRENT-1]}}
    local -a choices suffix
    for word in "${{(@)words[2,CURRENT-1]}}"; do
{_COLLECT_TYPED}
    done
    compset -P '--[^=]#=' && previous=${{words[CURRENT]%%=*}}
    case "${{typed# }}/$previous" in
{cases}        *) _files; return ;;
    esac
    [[ $choices[1] == *= ]] && suffix=(-S "")
    _describe stigmer choices "${{suffix[@]}}"
}}
compdef _stigmer stigmer
[[ $funcstack[1] != _stigmer ]] || _stigmer "$@"
"""


def _fish(names: Names) -> str:
    lines = []
    for words, choices in _tree(names).items():
        begin = f"complete -c stigmer -n '__stigmer_typed \"{words}\"'"
        lines += [f"{begin} -a {quote(name)} -d {quote(about)}" for name, about in choices.items() if name[0] != "-"]
    for command in (*COMMANDS, *GROUPS):
        for option in (*command.options, HELP):
            line = f"complete -c stigmer -n '__stigmer_typed \"{_typed(command)}\"' -l {option.name} -d {quote(option.help)}"
            line += f" -s {option.short}" if option.short else ""
            line += f" -x -a {quote(' '.join(names.get(option.metavar, ())))}" if option.metavar else ""
            lines.append(line)
    described = "\n".join(lines)
    return f"""# fish completion for stigmer
function __stigmer_typed  # whether the words typed so far, without options and their values, are these
    set -l typed; set -l value no
    for word in (commandline -opc)[2..-1]
        if test $value = yes
            set value no
        else if contains -- $word {" ".join(_FLAGS_WITH_VALUE)}
            set value yes
        else if not string match -q -- '-*' $word
            set -a typed $word
        end
    end
    string match -q -- "$argv" "$typed"
end
complete -c stigmer -f
{described}
"""


def _patterns(names: Names) -> Iterator[tuple[str, Choices]]:
    """Yield patterns of bash and zsh for `words typed so far/previous word`, and the choices there; the first match counts."""
    for command in COMMANDS:
        for option in (each for each in command.options if each.metavar):
            pattern = "|".join(f'"{command.name}"*/{flag}' for flag in option.flags)
            yield pattern, dict.fromkeys(names.get(option.metavar, ()), "")
    for words, following in _tree(names).items():
        yield words.replace(" ", r"\ ") + "/*", following


def _tree(names: Names) -> dict[str, Choices]:
    """Map the beginning of each command, as a pattern, to the words and options that can follow."""
    tree: dict[str, Choices] = {}
    for command in (*GROUPS, *COMMANDS):
        for depth, word in enumerate(command.words):
            tree.setdefault(" ".join(command.words[:depth]), {}).setdefault(word, command.summary)
        following = tree.setdefault(_typed(command), {})
        placeholder = command.arguments[0] if command.arguments else command.rest
        following |= dict.fromkeys(command.choices or names.get(placeholder, ()), "")
        following |= {f"--{option.name}": option.help for option in (*command.options, HELP)}
    return tree


def _typed(command: Command) -> str:
    """Return the pattern of the words after which a command's arguments and options are completed."""
    return command.name + ("*" if command.rest else "")

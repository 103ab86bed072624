"""The command line: parser, help, completions and manual page are all generated from one table."""

import contextlib
import errno
import io
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documents.manual import render_manual
from stigmer_launcher.cli import completion
from stigmer_launcher.cli.grammar import COMMANDS, EXIT_CODES, HELP, Command, find
from stigmer_launcher.cli.help import render_help
from stigmer_launcher.cli.main import main
from stigmer_launcher.cli.parse import Invocation, parse
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.errors import DegradedError, LauncherError, StoppedError, UsageError
from stigmer_launcher.version import NAME, VERSION

ROOT = Path(__file__).parents[2]
SERVICES = ("temporal", "agent-runner")
NAMES = {"SERVICE": SERVICES, "NAME=NUMBER": ("server=", "temporal="), "KEY": ("ports.server",)}


def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run a command line in this process, and return exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = main(arguments, environ, out, err)
    return code, out.getvalue(), err.getvalue()


# --- parsing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_found_by_its_words_and_has_a_function(command: Command) -> None:
    arguments = (*command.words, *(command.choices[:1] or command.arguments[:1]), *command.arguments[1:])
    assert parse(arguments).command == command
    assert callable(pkgutil.resolve_name(f"stigmer_launcher.cli.{command.run}"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("server", "logs", "--follow", "--lines", "5", "--service", "a", "--service", "b"),
        ("server", "logs", "-f", "-n", "5", "-s", "a", "-s", "b"),
        ("server", "logs", "-fn5", "-sa", "--service=b"),
        ("server", "logs", "--lines=7", "-n", "5", "-sa", "-s", "b", "-f"),
    ],
)
def test_options_are_accepted_in_every_notation(arguments: tuple[str, ...]) -> None:
    """Long or short, with joined or separate values; of a repeated option, the last or all values count."""
    invocation = parse(arguments)
    assert invocation.has("follow")
    assert invocation.value("lines", "50") == "5"
    assert invocation.all_values("service") == ("a", "b")
    assert invocation.value("absent", "default") == "default"


def test_logs_take_any_number_of_services() -> None:
    assert parse(("server", "logs")).arguments == ()
    assert parse(("server", "logs", "temporal", "-f", "agent-runner")).arguments == ("temporal", "agent-runner")
    assert "stigmer server logs [SERVICE]..." in render_help(("server", "logs"))


def test_words_after_two_dashes_are_not_options() -> None:
    assert parse(("config", "set", "--", "-key", "--help")).arguments == ("-key", "--help")
    assert parse(("config", "set", "key", "-")).arguments == ("key", "-")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ()),
        (("--help",), ()),
        (("help",), ()),
        (("-h",), ()),
        (("server", "--help"), ("server",)),
        (("server", "stop", "-h"), ("server", "stop")),
        (("help", "config", "set"), ("config", "set")),
        (("config",), ("config",)),
        (("config", "--help"), ("config",)),
        (("config", "get", "KEY", "--help"), ("config", "get")),
        (("help", "server", "--help"), ("server",)),
        (("server", "smoke", "-m", "text", "--help"), ("server", "smoke")),
    ],
)
def test_the_help_option_is_accepted_in_every_position(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    """The help is about the words before the option."""
    invocation = parse(arguments)
    assert invocation.command.run == HELP.run
    assert invocation.command.words == words
    assert render_help(words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sever",), "no command `stigmer sever`; did you mean `server`?"),
        (("server", "stat"), "did you mean `server status`?"),
        (("stop",), "no command `stigmer stop`; did you mean `server stop`?"),
        (("logs", "-f"), "no command `stigmer logs`; did you mean `server logs`?"),
        (("config", "ste", "a", "b"), "did you mean `config set`?"),
        (("server", "status", "now"), "`stigmer server status` does not take 'now'"),
        (("server", "stop", "--now"), "has no option --now"),
        (("server", "--forground"), "did you mean `--foreground`?"),
        (("server", "--for"), "did you mean `--foreground`?"),
        (("doc",), "did you mean `doctor`?"),
        (("server", "--port=a=1", "start"), "options come after the whole command, `stigmer server start`"),
        (("server", "status", "--json=yes"), "--json takes no value"),
        (("--help=x",), "--help takes no value"),
        (("--version=1",), "--version takes no value"),
        (("server", "stop", "--version=1"), "`stigmer server stop` has no option --version"),
        (("server", "logs", "-f-"), "-f takes no value"),
        (("server", "logs", "-n"), "--lines needs a value: NUMBER"),
        (("server", "logs", "-x"), "has no option -x"),
        (("config", "get"), "needs KEY"),
        (("config", "set", "a"), "needs VALUE"),
        (("completion", "tcsh"), "invalid value 'tcsh' for SHELL: expected one of bash, zsh, fish"),
        (("help", "nothing"), "no command `stigmer nothing`"),
        (("nothing", "--help"), "no command `stigmer nothing`"),
        (("config", "--bogus"), "`stigmer config` has no option --bogus"),
        (("--bogus",), "`stigmer` has no option --bogus"),
        (("--hlep",), "`stigmer` has no option --hlep; did you mean `--help`?"),
        (("-x", "server"), "`stigmer` has no option -x"),
        (("--", "server"), "options come after the whole command, `stigmer server`"),
        (("--", "--version"), "no command `stigmer --version`"),
        (("--foreground", "server"), "--foreground comes after the command: `stigmer server --foreground`"),
        (("--foreground=yes", "server"), "--foreground comes after the command"),
        (("-f", "server", "logs"), "-f comes after the command: `stigmer server logs -f`"),
        (("config", "--json", "list"), "--json comes after the command: `stigmer config list --json`"),
        (("server", "--follow"), "--follow comes after the command: `stigmer server logs --follow`"),
        (("--deep",), "--deep comes after the command: `stigmer doctor --deep`"),
        (("help", "server", "bogus"), "no command `stigmer server bogus`"),
        (("help", "server", "stpo"), "did you mean `server stop`?"),
        (("help", "doctor", "now"), "`stigmer doctor` does not take 'now'"),
        (("help", "--bogus"), "`stigmer help` has no option --bogus"),
        (("server", "bogus", "--help"), "no command `stigmer server bogus`"),
        (("config", "gte", "--help"), "did you mean `config get`?"),
    ],
)
def test_a_wrong_command_line_is_refused_with_a_hint(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in err.splitlines()[0]
    assert err.startswith("Error: ")
    assert err.splitlines()[1].startswith("Hint: run `stigmer ")


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("server", "smoke", "-m", "--help"), "--help"),
        (("server", "smoke", "--message", "-h"), "-h"),
        (("smoke", "-m--help"), "--help"),
        (("smoke", "--json", "--message", "--version"), "--version"),
    ],
)
def test_the_value_of_an_option_may_look_like_an_option(arguments: tuple[str, ...], value: str) -> None:
    assert parse(arguments).value("message") == value


def test_an_empty_value_of_an_option_does_not_take_the_next_word() -> None:
    invocation = parse(("server", "logs", "--since=", "temporal"))
    assert (invocation.value("since"), invocation.arguments) == ("", ("temporal",))
    assert parse(("server", "logs", "--since=")).value("since") == ""


def test_server_start_and_server_smoke_are_aliases_of_server_and_smoke() -> None:
    """Many documents mention `server start`, and users look for the smoke call in both places."""
    plain, start = parse(("server", "--foreground")), parse(("server", "start", "--foreground"))
    assert plain.command.run == start.command.run
    assert parse(("smoke",)).command.run == parse(("server", "smoke")).command.run


# --- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LauncherError, *LauncherError.__subclasses__()])
def test_every_failure_has_a_documented_exit_code_and_a_remedy(kind: type[LauncherError]) -> None:
    assert kind("x").exit_code == {UsageError: 2, StoppedError: 3, DegradedError: 4}.get(kind, 1)
    assert kind("x").exit_code in dict(EXIT_CODES)
    assert kind("x").remedy


def test_a_system_error_is_reported_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a directory", encoding="utf-8")
    code, _, err = run("server", "logs", STIGMER_HOME=str(tmp_path))
    assert code == 1
    assert err.startswith(f"Error: {tmp_path}/logs: Not a directory\nHint: ")


def stigmer(*arguments: str, home: str = "/nonexistent") -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": str(ROOT / "launcher"), "PYTHONDONTWRITEBYTECODE": "1", "HOME": home}
    command = [sys.executable, "-S", "-m", "stigmer_launcher", *arguments]
    return subprocess.Popen(command, text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_closed_output_pipe_is_not_a_failure() -> None:
    """`stigmer … | head` must exit silently."""
    process = stigmer("config", "list")
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["server", "--help"], ["completion", "bash"]])
def test_commands_that_brew_runs_create_nothing_in_the_home(arguments: list[str], tmp_path: Path) -> None:
    """Homebrew's sandbox forbids it."""
    home = tmp_path / "home"
    out, err = stigmer(*arguments, home=str(home)).communicate()
    assert (bool(out), err, home.exists()) == (True, "", False)


@pytest.mark.parametrize("arguments", [["--version"], ["-V"], ["--version", "--help"], ["--version", "server"]])
def test_the_version_is_one_line(arguments: list[str]) -> None:
    """The test of the formula compares it with `stigmer` and the version."""
    assert run(*arguments) == (0, f"{NAME} {VERSION}\n", "")


def test_the_exit_code_after_ctrl_c_is_documented() -> None:
    """The tests of the start and of the prompt for a key check that it is 130."""
    assert 130 in dict(EXIT_CODES)


# --- help, completions and manual -----------------------------------------------------------------------------------------


def test_the_help_lists_every_command_and_every_exit_code() -> None:
    text = render_help(())
    for command in COMMANDS:
        assert command.summary in text
    for code, meaning in EXIT_CODES:
        assert f"  {code:<3}  {meaning}" in text
    assert max(map(len, text.splitlines())) <= 120, "too wide for a terminal"
    assert {find(command.words[:1]).words for command in COMMANDS} == {command.words[:1] for command in COMMANDS}


def test_the_help_and_the_manual_page_list_all_options_of_every_command() -> None:
    manual = render_manual().replace("\\-", "-").lower()
    for command in COMMANDS:
        text = render_help(command.words)
        assert command.summary.lower() in manual
        for option in command.options:
            assert f"--{option.name}" in text
            assert option.help in text
            assert f"--{option.name}" in manual
    macros = {line[1:3].strip().upper() for line in manual.splitlines() if line.startswith(".")}
    assert macros <= {"TH", "SH", "SS", "TP", "PP", "B", "I", "BR"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_valid_for_their_shell(shell: str) -> None:
    """Checked by the shell itself where it is installed; elsewhere only for completeness."""
    text = completion.render(shell, NAMES)
    for command in COMMANDS:
        assert command.words[-1] in text
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=text, text=True, check=True)


def complete(*words: str) -> list[str]:
    """Return how bash completes the last word."""
    script = completion.render("bash", NAMES) + (
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stigmer; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = [shutil.which("bash") or "/bin/bash", "--norc", "-c", script, "bash", "stigmer", *words]
    return subprocess.run(command, text=True, check=True, capture_output=True).stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("",), {"server", "smoke", "doctor", "config", "version", "completion"}),
        (("ser",), {"server"}),
        (("server", "st"), {"start", "stop", "status"}),
        (("server", "logs", "--f"), {"--follow"}),
        (("server", "logs", "--service", ""), {"temporal", "agent-runner"}),
        (("server", "logs", ""), {"temporal", "agent-runner", "--follow"}),
        (("server", "logs", "-f", "-s", "a"), {"agent-runner"}),
        (("server", "stop", "a"), {"agent-runner"}),
        (("server", "stop", "temporal", "a"), {"agent-runner"}),
        (("server", "logs", "temporal", "agent-runner", "--f"), {"--follow"}),
        (("server", "restart", ""), {"temporal", "agent-runner", "--port"}),
        (("server", "start", "--port", "s"), {"server="}),
        (("server", "logs", "--lines", "5", "--f"), {"--follow"}),
        (("server", "logs", "-s", "temporal", "--since", "10m", "a"), {"agent-runner"}),
        (("server", "logs", "--lines", "=", "5", "--f"), {"--follow"}),
        (("server", "logs", "--service", "=", "t"), {"temporal"}),
        (("server", "--port", "server", "=", "1", "st"), {"start"}),
        (("smoke", "-m", "server", "--j"), {"--json"}),
        (("config", "get", "p"), {"ports.server"}),
        (("completion", ""), {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes_commands_options_and_names(words: tuple[str, ...], expected: set[str]) -> None:
    assert expected <= set(complete(*words))


@pytest.mark.parametrize(
    "arguments",
    [
        ("server", "logs", "--lines", "9" * 5000),
        ("server", "logs", "--since", "9" * 5000 + "d"),
        ("server", "--port", "server=" + "9" * 5000),
        ("config", "set", "ports.server", "9" * 5000),
    ],
    ids=lambda arguments: " ".join(arguments)[:24],
)
def test_a_number_of_thousands_of_digits_is_an_invalid_value(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Python's own conversion refuses it with a ValueError that users would not understand."""
    code, _, err = run(*arguments, STIGMER_HOME=str(tmp_path))
    assert code == 2
    assert "Hint: run `stigmer" in err
    assert "Exceeds" not in err


def test_a_failure_is_reported_even_if_the_output_pipe_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a broken output pipe is ignored, not a full disk at the same time."""

    def fail_on_full_disk(_: Invocation, context: Context) -> int:
        context.out.line("begun")
        raise OSError(errno.ENOSPC, "No space left on device", "/home/x/state.json")

    monkeypatch.setattr("stigmer_launcher.cli.commands.start.start", fail_on_full_disk)
    reader, writer = os.pipe()
    os.close(reader)
    err = io.StringIO()
    out = os.fdopen(writer, "w", encoding="utf-8")
    assert main(["server"], {}, out, err) == LauncherError.exit_code
    with contextlib.suppress(BrokenPipeError):
        out.close()
    assert "/home/x/state.json: No space left on device\nHint: " in err.getvalue()

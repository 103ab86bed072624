"""The command line as one table: the parser, the help, the completions and the manual page are all made from it."""

from typing import NamedTuple

from stigmer_launcher.errors import INTERRUPTED
from stigmer_launcher.version import OVERRIDES, PORTS, SUMMARY


class Option(NamedTuple):
    """One option. `metavar` names its value in the help; without it, the option is a switch. `short` is one letter."""

    name: str
    help: str
    metavar: str = ""
    short: str = ""
    run: str = ""  # the function that runs instead of the command's

    @property
    def flags(self) -> tuple[str, ...]:
        """Return the long form and, if there is one, the short form."""
        return (f"--{self.name}", f"-{self.short}") if self.short else (f"--{self.name}",)


class Command(NamedTuple):
    """One command: the words that call it, its summary, and its function, as `module:function` below `cli`."""

    words: tuple[str, ...]
    summary: str
    run: str
    options: tuple[Option, ...] = ()
    arguments: tuple[str, ...] = ()  # names of the required ones
    choices: tuple[str, ...] = ()  # values of the first
    rest: str = ""  # name of the optional ones that follow, any number of them
    description: str = ""  # for its help, after the summary

    @property
    def name(self) -> str:
        """Return the words as they are typed."""
        return " ".join(self.words)

    @property
    def full_name(self) -> str:
        """Return the program's name and the words."""
        return " ".join(("stigmer", *self.words))

    def option(self, flag: str) -> Option | None:
        """Return the option of this flag, such as `-n`; None when there is none."""
        return next((option for option in (*self.options, HELP) if flag in option.flags), None)


HELP = Option("help", "show this help", short="h", run="help:show_help")
VERSION = Option("version", "show the version", short="V", run="help:show_version")
_JSON = Option("json", "print JSON for programs")
_PORT = Option("port", f"use another port for this start (names: {', '.join(PORTS)})", metavar="NAME=NUMBER")
_START = (Option("foreground", "stay in the foreground, for brew services and systemd"), _PORT)
_SMOKE = Command(
    ("smoke",),
    "test the running stack: send one request through all services and show its path",
    "commands.smoke:smoke",
    (Option("message", "the text to send", metavar="TEXT", short="m"), _JSON),
    description="The request goes from the server through a workflow to the agent and back. `stigmer server smoke` is the same.\n"
    "A stack without such a request runs a command instead, or lists the proofs of readiness of its services.",
)
_SERVER = Command(
    ("server",),
    "start all services, and return when they are ready",
    "commands.start:start",
    _START,
    description="Without --foreground the services run in the background, under one supervisor, until `stigmer server stop`.\n"
    "If they run already, the command says so, and starts those that were stopped by name. `stigmer server start` is the same.",
)

COMMANDS = (
    _SERVER,
    _SERVER._replace(words=("server", "start")),
    Command(
        ("server", "stop"), "stop all services in their order, or only those named", "commands.stop:stop", rest="SERVICE",
        description="A service that was stopped by name stays stopped, and the others go on, until the next\n"
        "`stigmer server restart SERVICE` or `stigmer server`. Meanwhile the status is degraded, with exit code 4.",
    ),
    Command(
        ("server", "restart"), "stop all services and start the installed version, or restart only those named",
        "commands.start:restart", _START, rest="SERVICE",
        description="With SERVICE, the running version is kept, and services that need SERVICE must prove that they still work.",
    ),
    Command(
        ("server", "status"), "show every service: state, pid, uptime, restarts, port", "commands.status:status", (_JSON,),
        description="Exit code 0 when everything runs, 3 when the server is stopped, 4 when a service is missing.",
    ),
    Command(
        ("server", "logs"), "show what the services print", "commands.logs:logs",
        (
            Option("follow", "print new lines as they come, until Ctrl-C", short="f"),
            Option("since", "show lines since then: 30s, 10m, 2h or 1d ago, or 2026-11-28T10:00 (local; UTC with Z)", metavar="TIME"),
            Option("lines", "show the last NUMBER lines, `all` for everything (default: 50)", metavar="NUMBER", short="n"),
            Option("service", "show this service only", metavar="SERVICE", short="s"),
            Option("timestamps", "show when each line was printed, in UTC, instead of the service's own time", short="t"),
        ),
        rest="SERVICE",
        description="Without SERVICE, the lines of all services are shown, sorted by time, each after the name of its service.\n"
        "A terminal shows the services' own colours; other control sequences are removed. The log files keep them.",
    ),
    _SMOKE._replace(words=("server", "smoke")),
    _SMOKE,
    Command(
        ("doctor",), "look for problems, without changing anything", "commands.doctor:doctor",
        (Option("deep", "also compare every component's content with its checksum"), _JSON),
        description="The report is safe to paste into an issue: it says whether API keys are set, and never shows them.",
    ),
    Command(("config", "get"), "show one setting as a start would use it", "commands.config:get", arguments=("KEY",)),
    Command(("config", "set"), "change one setting; the file's comments stay", "commands.config:change", arguments=("KEY", "VALUE")),
    Command(("config", "unset"), "remove one setting, so that its default is used", "commands.config:unset", arguments=("KEY",)),
    Command(("config", "edit"), "open config.yaml in $VISUAL or $EDITOR, and check what was saved", "commands.config:edit"),
    Command(("config", "list"), "show all settings and where they come from", "commands.config:show_all", (_JSON,)),
    Command(("config", "path"), "show where config.yaml is", "commands.config:path"),
    Command(("version",), "show the version, and that of every component", "commands.version:version", (_JSON,)),
    Command(
        ("completion",), "print the completions for a shell", "completion:completion",
        arguments=("SHELL",), choices=("bash", "zsh", "fish"),
        description="Homebrew installs them; elsewhere: `stigmer completion bash > FILE`, and let your shell read FILE.",
    ),
)  # fmt: skip

ROOT = Command((), SUMMARY, "help:show_help", (VERSION,))
GROUPS = (ROOT, Command(("config",), "read and change the settings", "help:show_help"))  # they only begin commands

EXIT_CODES = (
    (0, "success, or nothing to do"),
    (1, "failure; the message says why and what to do"),
    (2, "the command line was wrong"),
    (3, "the server is stopped"),
    (4, "the server runs, but a service does not"),
    (INTERRUPTED, "interrupted by Ctrl-C before it was done; a start in the background also by a stop"),
)

VARIABLES = (
    ("STIGMER_HOME", "where everything is kept (default: ~/.stigmer)"),
    ("ANTHROPIC_API_KEY, OPENAI_API_KEY, STIGMER_LLM_API_KEY", "the key of the LLM's provider; asked for when missing"),
    ("STIGMER_LLM_PROVIDER, STIGMER_LLM_MODEL, STIGMER_LLM_BASE_URL", "which LLM to use; these override config.yaml"),
    ("TEMPORAL_SERVICE_ADDRESS", "use the Temporal at host:port; ours is not started then"),
    ("TEMPORAL_NAMESPACE", "the namespace to use there (default: default)"),
    *(((", ".join(OVERRIDES), "run this executable instead of the component, for development"),) if OVERRIDES else ()),
    ("NO_COLOR", "print without colours"),
)


def find(words: tuple[str, ...]) -> Command:
    """Return the command or group with the most words that these begin with; at least ROOT."""
    matches = (each for each in (*COMMANDS, *GROUPS) if each.words == words[: len(each.words)])
    return max(matches, key=lambda each: len(each.words))


def subtree(words: tuple[str, ...]) -> list[Command]:
    """Return the commands whose words begin with these."""
    return [command for command in COMMANDS if command.words[: len(words)] == words]

"""The reference of commands, generated from the tables that the two programs parse arguments with."""

import click

from documents.markdown import page, sentence, table
from stigmer_launcher.cli.grammar import COMMANDS, HELP, VERSION, Command
from stigmer_launcher.cli.help import describe_option, usage

ALIASES = {"server start", "server smoke"}
SCRIPTS = """\
`scripts/packaging STAGE` runs one of these commands in the environment of the lock. `scripts/release`, `scripts/verify`,
`scripts/publish`, `scripts/rollback`, `scripts/rehearse`, `scripts/workflows`, `scripts/tap-init`, `scripts/tap-refresh`
and `scripts/verify-published` are shorter names for the same commands. `--help` prints the same text as this page."""
SHARED = """\
All stages have the same options. A stage also runs the stages before it."""


def render_commands(pipeline: click.Group) -> str:
    """Render the page: the commands of the launcher and of the pipeline."""
    launcher = [_launcher_command(command) for command in COMMANDS if command.name not in ALIASES]
    options = table(
        ("option", "meaning"), [(f"`{describe_option(each)}`", sentence(each.help)) for each in (HELP, VERSION)]
    )
    return page(
        "Commands",
        "## The command `stigmer`",
        options,
        *launcher,
        "## The pipeline: `scripts/packaging`",
        SCRIPTS,
        _stages(pipeline),
        *(_pipeline_command(command) for command in pipeline.commands.values() if not _is_stage(command)),
    )


def _launcher_command(command: Command) -> str:
    rows = [(f"`{describe_option(option)}`", sentence(option.help)) for option in command.options]
    parts = [f"### `{usage(command)}`", sentence(command.summary)]
    parts += [command.description] if command.description else []
    parts += [f"`{command.arguments[0]}` is one of {', '.join(command.choices)}."] if command.choices else []
    return "\n\n".join((*parts, *([table(("option", "meaning"), rows)] if rows else [])))


def _is_stage(command: click.Command) -> bool:
    return any(option.name == "checkout" for option in command.params)


def _stages(pipeline: click.Group) -> str:
    stages = [command for command in pipeline.commands.values() if _is_stage(command)]
    names = table(("stage", "what it does"), [(f"`{command.name}`", command.help or "") for command in stages])
    return "\n\n".join(("### Stages", names, SHARED, _parameters(stages[0])))


def _pipeline_command(command: click.Command) -> str:
    with click.Context(command, info_name=command.name) as context:
        pieces = " ".join(command.collect_usage_pieces(context))
    return "\n\n".join(filter(None, (f"### `{command.name} {pieces}`", command.help, _parameters(command))))


def _parameters(command: click.Command) -> str:
    with click.Context(command) as context:
        records = [record for option in command.params if (record := option.get_help_record(context))]
    rows = [(f"`{flags}`", meaning) for flags, meaning in records if meaning]  # arguments have no help text
    return table(("option", "meaning"), rows) if rows else ""

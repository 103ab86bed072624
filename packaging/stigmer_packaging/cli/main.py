"""The command line: one command for a complete release, and one for each stage."""

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console

from stigmer_packaging.cli import options, output, publish, runner, tap
from stigmer_packaging.cli.machine import cache_folder, this_machine, this_platform
from stigmer_packaging.cli.python import python_command
from stigmer_packaging.cli.rehearse import rehearse_command
from stigmer_packaging.cli.verify import verify_command
from stigmer_packaging.freeze.pythons import PINNED
from stigmer_packaging.lib import command, debian, environment
from stigmer_packaging.lib.errors import ForeignTargetError, PackagingError
from stigmer_packaging.lib.target import Target, is_runnable
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline import plan, system
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.delivery import deliver
from stigmer_packaging.pipeline.run import Pipeline, StepResult
from stigmer_packaging.pipeline.stages import maker_of
from stigmer_packaging.publish.report.stage import write_report
from stigmer_packaging.records.release import Artefact
from stigmer_packaging.records.workspace import Workspace

RELEASE = "From sources to a verified bottle and its formula, copied to dist/ (or delivered/ in --workspace)."
STAGES = {"release": RELEASE, **{name: purpose for name, purpose in plan.STAGES.items() if name != plan.RELEASE}}
EPOCH = 1767225600
"""Default of SOURCE_DATE_EPOCH, the time of all files in artefacts: 2026-01-01, as commits must not change bytes."""

EPOCHS = range(1 << 32)
"""Times that fit in the headers of all archives, in seconds since 1970."""

AT_ONCE = 2
"""How many steps run at the same time: each spends half its time on a disk, a lock, or packing with one thread."""

INTERRUPTED = 130
"""The exit code of a run that was interrupted with ^C. Source: shells' 128 + SIGINT."""


@dataclass(frozen=True)
class BuildOptions:
    """The options of the command line."""

    targets: tuple[str, ...]
    workspace: Path | None
    checkout: str
    manifest: Path
    python: str
    debian: str
    dry_run: bool
    as_json: bool
    verbose: bool


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code: 0, 2 for wrong usage, or that of the error, which is printed."""
    _handle_signals()
    try:
        main.main(list(arguments), prog_name="scripts/packaging", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        with command.kill_all():  # kills one that had only just started, which nothing waits for
            pass
        with suppress(OSError):  # the terminal may be closed
            sys.stderr.write("Error: interrupted\nHint: run it again; it resumes\n")
        return INTERRUPTED
    except PackagingError as error:
        log = f"Log: {error.log}\n" if error.log else ""
        sys.stderr.write(f"Error: {error}\n{log}Hint: {error.remedy}\n")
        return error.exit_code
    except OSError as error:
        remedy = "free space or correct the permissions of the file it names, then run it again"
        sys.stderr.write(f"Error: {error}\nHint: {remedy}\n")
        return PackagingError.exit_code
    return 0


@click.group(cls=options.Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Build, verify and publish the Homebrew distribution that the manifest describes."""


def _command(name: str, purpose: str) -> click.Command:
    @click.command(name, help=purpose)
    @options.targets_option("this machine's")
    @options.workspace_option
    @click.option("--checkout", default="", metavar="PATH[@REF]", help="The source tree, or a commit of it.")
    @options.manifest_option
    @click.option(
        "--python", default="", metavar="pinned|host|PATH", help="The Python that freezes; default: pinned on Linux."
    )
    @options.debian_option
    @click.option("--dry-run", is_flag=True, help="Show what would be made and what reused.")
    @options.json_option
    @options.verbose_option
    def stage_command(**values: Any) -> None:
        _run_stage(name, BuildOptions(**values))

    return stage_command


_stages = (_command(name, purpose) for name, purpose in STAGES.items())
_others = (*runner.COMMANDS, rehearse_command, verify_command, *publish.COMMANDS, *tap.COMMANDS, python_command)
for _each in (*_stages, *_others):
    main.add_command(_each)


def _run_stage(command: str, build_options: BuildOptions) -> None:
    manifest = load_manifest(build_options.manifest, reference=not build_options.checkout)
    host = this_platform()
    targets = options.read_targets(build_options.targets, manifest.targets) or (host,)
    workspace = Workspace((build_options.workspace or options.ROOT / "build").absolute(), cache_folder())
    until = _last_stage(command, targets, host)
    plan.refuse_foreign(targets, host, until)
    _refuse_foreign_python(build_options.python, plan.stages_until(until), targets, host)
    with output.TerminalProgress(Console(stderr=True), verbose=build_options.verbose) as progress:
        context = BuildContext(
            manifest,
            workspace,
            options.ROOT,
            host,
            build_options.checkout or str(options.ROOT / manifest.checkout),
            environment.build_environment(os.environ),
            _source_date_epoch(os.environ.get("SOURCE_DATE_EPOCH", "")),
            progress.show_message,
            python=build_options.python,
            debian=build_options.debian,
        )
        if not build_options.dry_run:  # first: the steps may depend on what it installs
            _preflight(plan.stages_until(until), targets, host, context)
        before = context.commit
        also = plan.UNNEEDED if command == "release" else ()
        steps = plan.plan_release(manifest, targets, context.inputs(targets, until), until=until, also=also)
        pipeline = Pipeline(workspace, partial(maker_of, context), progress, time.monotonic, at_once=AT_ONCE)
        if build_options.dry_run:
            show = partial(_show_plan, build_options, pipeline.preview(steps))
        else:
            with pipeline.running(steps) as results:
                delivered = deliver_results(build_options, results, context, before) if command == "release" else ()
            show = partial(_show_results, build_options, results, delivered)
    show()


def _source_date_epoch(value: str) -> int:
    """Parse the variable's value; UsageError unless it is a time that an archive can hold."""
    if not value:
        return EPOCH
    if not re.fullmatch("[0-9]{1,10}", value) or int(value) not in EPOCHS:
        raise click.UsageError(f"SOURCE_DATE_EPOCH is {value!r}: seconds since 1970 are expected, such as {EPOCH}")
    return int(value)


def _refuse_foreign_python(python: str, stages: Sequence[str], targets: Sequence[Target], host: Target) -> None:
    """Raise ForeignTargetError early if a Python of this machine is to freeze for another platform."""
    foreign = [str(target) for target in targets if target != host]
    if foreign and "freeze" in stages and python not in {"", PINNED}:
        remedy = "leave out --python: on Linux, the pinned one freezes for every platform"
        raise ForeignTargetError(f"--python {python} can freeze only for {host}, not for {', '.join(foreign)}", remedy)


def _show_plan(build_options: BuildOptions, previewed: Sequence[tuple[plan.Step, bool]]) -> None:
    if build_options.as_json:
        sys.stdout.write(output.plan_json(previewed) + "\n")
    else:
        output.stdout().print(output.plan_table(previewed))


def _show_results(build_options: BuildOptions, results: Sequence[StepResult], delivered: Sequence[Artefact]) -> None:
    if build_options.as_json:
        sys.stdout.write(output.results_json(results, delivered) + "\n")
        return
    console = output.stdout()
    console.print(output.result_table(results))
    for line in output.warnings_of(results):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if delivered:
        console.print("", output.delivery_table(delivered, _dist(build_options)))


def _preflight(stages: Sequence[str], targets: Sequence[Target], host: Target, context: BuildContext) -> None:
    machine = this_machine()
    own_python = host.system == "linux" and context.python_choice != PINNED
    needed = [system.OWN_PYTHON if own_python and stage == "freeze" else stage for stage in stages]
    if "freeze" in stages and context.makes_python(targets):
        needed.append(system.PYTHON)
        debian.find_archives(context.debian, os.environ)  # fail now, not when they are needed
    if "verify" in stages and any(target != host and is_runnable(target, host) for target in targets):
        needed.append(system.EMULATION)
    missing = system.find_missing(needed, machine)
    system.provide(missing, machine, env=context.env, report=context.report)


def _last_stage(command: str, targets: Sequence[Target], host: Target) -> str:
    """Return the last stage: a release ends with a verification if a target can be verified here."""
    if command != "release":
        return command
    verified = any(plan.can_verify(target, host) for target in targets)
    return plan.RELEASE if verified else "formula"


def deliver_results(
    build_options: BuildOptions, results: Sequence[StepResult], context: BuildContext, before: str
) -> tuple[Artefact, ...]:
    """Deliver a release's results and write its report; `before` is the commit of the tree at the start."""
    records, folder = {result.step.name: result.record for result in results}, _dist(build_options)
    commit = before if before == context.commit else ""  # the tree may have changed in the meantime
    release = deliver(records, context.manifest.product, context.workspace, folder, commit=commit)
    write_report(folder)
    return release.artefacts


def _dist(build_options: BuildOptions) -> Path:
    return (build_options.workspace / "delivered") if build_options.workspace else options.ROOT / "dist"


def _handle_signals() -> None:
    """Handle SIGTERM, and SIGHUP of a closed terminal, like ^C: otherwise programs that we started would outlive us.

    Under nohup, SIGHUP stays ignored.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

"""The command line: one command for a whole release, one for each stage; the only place that sees clock, environment and terminal."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console

from stigmer_packaging.cli import output, publish
from stigmer_packaging.cli.machine import cache_folder, this_machine, this_platform
from stigmer_packaging.cli.python import python_command
from stigmer_packaging.cli.rehearse import rehearse_command
from stigmer_packaging.cli.report import report_command
from stigmer_packaging.cli.runner import RUNNER_COMMANDS
from stigmer_packaging.cli.tap import init_command, refresh_command
from stigmer_packaging.cli.targets import read_targets, targets_option
from stigmer_packaging.cli.verify import verify_command
from stigmer_packaging.cli.workflows import workflows_command
from stigmer_packaging.freeze.pythons import PINNED
from stigmer_packaging.lib import debian, environment
from stigmer_packaging.lib.errors import ForeignTargetError, PackagingError
from stigmer_packaging.lib.target import Target, is_runnable
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline import plan, system
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.delivery import deliver, deliver_verifications
from stigmer_packaging.pipeline.run import Pipeline, StepResult
from stigmer_packaging.pipeline.stages import makers
from stigmer_packaging.publish.report.stage import write_report
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.records.release import Artefact
from stigmer_packaging.records.workspace import Workspace

ROOT = Path(__file__).resolve().parents[3]
RELEASE = "From sources to a verified bottle and its formula, copied to dist/ (or delivered/ in --workspace)."
EPOCH = 1767225600
"""The time all files in artefacts have, 2026-01-01, unless SOURCE_DATE_EPOCH says another: commits do not change bytes."""

AT_ONCE = 2
"""How many steps are at work at the same time: half of one waits for a disk, a lock, or a single thread that packs."""

INTERRUPTED = 130
"""The exit code of a run that somebody ended with ^C. Source: shells' 128 + SIGINT."""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

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
    """Run a command and give its exit code: 0, 2 for wrong usage, or that of the error, which is printed."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        main.main(list(arguments), prog_name="scripts/packaging", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("Error: interrupted\nHint: run it again; it resumes\n")
        return INTERRUPTED
    except PackagingError as error:
        log = f"Log: {error.log}\n" if error.log else ""
        sys.stderr.write(f"Error: {error}\n{log}Hint: {error.remedy}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(
            f"Error: {error}\nHint: free space or correct the permissions of the file it names, then run it again\n"
        )
        return PackagingError.exit_code
    return 0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Build, verify and describe the Homebrew distribution that packaging/manifest.yaml says."""


for _of_workflows in (*RUNNER_COMMANDS, rehearse_command(ROOT), workflows_command(ROOT)):
    main.add_command(_of_workflows)


def _command(name: str, purpose: str) -> click.Command:
    def act(**given: Any) -> None:
        _carry_out(name, Options(**given))

    return click.Command(name, params=_parameters(), callback=act, help=purpose, short_help=purpose)


def _parameters() -> list[click.Parameter]:
    folder = click.Path(file_okay=False, path_type=Path)
    file = click.Path(dir_okay=False, path_type=Path)
    default = ROOT / "packaging" / "manifest.yaml"
    return [
        targets_option("this machine's"),
        click.Option(["--workspace"], type=folder, help="Where artefacts and records are kept; default: build/."),
        click.Option(["--checkout"], default="", metavar="PATH[@REF]", help="The source tree, or a commit of it."),
        click.Option(["--manifest"], type=file, default=default, help="Default: packaging/manifest.yaml."),
        click.Option(
            ["--python"], default="", metavar="pinned|host|PATH", help="What freezes; default: pinned on Linux."
        ),
        click.Option(
            ["--debian"],
            default="",
            metavar="URL",
            help="A Debian mirror for the pinned Python's sources; default: apt's own.",
        ),
        click.Option(["--dry-run"], is_flag=True, help="Say what would be made and what reused."),
        click.Option(["--json", "as_json"], is_flag=True, help="Results as JSON on stdout."),
        click.Option(
            ["--verbose"], is_flag=True, help="Print on stderr what the steps say, and every command they run."
        ),
    ]


for _name, _purpose in {"release": RELEASE, **plan.STAGES}.items():
    main.add_command(verify_command(ROOT, _purpose) if _name == plan.RELEASE else _command(_name, _purpose))
for _changing in (publish.PUBLISH, publish.FETCH_DRAFT, publish.COMPARE, publish.ROLLBACK, refresh_command(ROOT)):
    main.add_command(_changing)
main.add_command(init_command(ROOT))
main.add_command(report_command(ROOT))
main.add_command(python_command(ROOT))


def _carry_out(command: str, options: Options) -> None:
    manifest = load_manifest(options.manifest, reference=not options.checkout)
    host = this_platform()
    targets = read_targets(options.targets, manifest.targets) or (host,)
    workspace = Workspace(_workspace(options), cache_folder())
    until = _until(command, targets, host)
    plan.refuse_foreign(targets, host, until)
    _refuse_foreign_python(options.python, plan.stages_until(until), targets, host)
    with output.TerminalProgress(Console(stderr=True), verbose=options.verbose) as progress:
        context = _open_context(options, manifest, workspace, host, progress.say)
        if not options.dry_run:  # first of all: what it installs may be among what the steps depend on
            _preflight(plan.stages_until(until), targets, host, context)
        also = plan.UNNEEDED if command == "release" else ()
        steps = plan.plan_release(manifest, targets, context.inputs(targets, until), until=until, also=also)
        pipeline = Pipeline(workspace, makers(context), progress, time.monotonic, at_once=AT_ONCE)
        if options.dry_run:
            show = partial(_show_plan, options, pipeline.preview(steps))
        else:
            results = pipeline.run(steps)
            show = partial(_show_results, options, results, _deliver(command, options, results, context))
    show()


def _refuse_foreign_python(python: str, stages: Sequence[str], targets: Sequence[Target], host: Target) -> None:
    """Raise ForeignTargetError at once when a Python of this machine is to freeze for another platform."""
    foreign = [str(target) for target in targets if target != host]
    if foreign and "freeze" in stages and python not in {"", PINNED}:
        raise ForeignTargetError(f"--python {python} freezes for {host} alone, not for {', '.join(foreign)}")


def _show_plan(options: Options, previewed: Sequence[tuple[plan.Step, bool]]) -> None:
    if options.as_json:
        sys.stdout.write(output.plan_json(previewed) + "\n")
    else:
        _out().print(output.plan_table(previewed))


def _show_results(options: Options, results: Sequence[StepResult], delivered: Sequence[Artefact]) -> None:
    if options.as_json:
        sys.stdout.write(output.results_json(results, delivered) + "\n")
        return
    _out().print(output.result_table(results))
    for line in output.warnings_of(results):
        _out().print(line, markup=False, highlight=False, soft_wrap=True)
    if delivered:
        _out().print("", output.delivery_table(delivered, _dist(options)))


def _open_context(
    options: Options, manifest: Manifest, workspace: Workspace, host: Target, report: Callable[[str], None]
) -> BuildContext:
    checkout = options.checkout or str(ROOT / manifest.checkout)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH))
    env = environment.build_environment(os.environ)
    return BuildContext(
        manifest, workspace, ROOT, host, checkout, env, epoch, report, python=options.python, debian=options.debian
    )


def _preflight(stages: Sequence[str], targets: Sequence[Target], host: Target, context: BuildContext) -> None:
    machine = this_machine()
    own_python = host.system == "linux" and context.freezes_with != PINNED
    needed = [system.OWN_PYTHON if own_python and stage == "freeze" else stage for stage in stages]
    if "freeze" in stages and context.makes_python(targets):
        needed.append(system.PYTHON)
        debian.find_archives(context.debian, os.environ)  # now, not when they are needed
    if "verify" in stages and any(target != host and is_runnable(target, host) for target in targets):
        needed.append(system.EMULATION)
    missing = system.find_missing(needed, machine)
    system.provide(missing, machine, env=context.env, report=context.report)


def _workspace(options: Options) -> Path:
    return (options.workspace or ROOT / "build").absolute()


def _until(command: str, targets: Sequence[Target], host: Target) -> str:
    """Name the last stage: a release ends with a verification where one can be had."""
    if command != "release":
        return command
    verified = any(plan.can_verify(target, host) for target in targets)
    return plan.RELEASE if verified else "formula"


def _deliver(
    command: str, options: Options, results: Sequence[StepResult], context: BuildContext
) -> tuple[Artefact, ...]:
    if command != "release":
        return ()
    records, folder = {result.step.name: result.record for result in results}, _dist(options)
    deliver(records.values(), context.manifest.product, context.workspace, folder)
    reports = {name: record for name, record in records.items() if isinstance(record, VerificationReport)}
    release = deliver_verifications(reports, context.workspace, folder)
    write_report(folder)
    return release.artefacts


def _dist(options: Options) -> Path:
    return (options.workspace / "delivered") if options.workspace else ROOT / "dist"


def _out() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=output.PIPED_WIDTH)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """End as on ^C, so that programs we started end with us."""
    raise KeyboardInterrupt

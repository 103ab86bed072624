"""Measure the launcher of a keg against the speed table, and write `benchmarks/RESULTS.md`.

python -m benchmarks.run KEG        (a keg: the directory `stigmer/2.0.0` of an unpacked bottle)
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import filesystem
from benchmarks.errors import BenchmarkError
from benchmarks.machine import describe_machine, find_python, has_python, load, version_of
from benchmarks.measuring import (
    Counts,
    Results,
    measure_commands,
    measure_installation,
    measure_life,
    measure_supervisor,
)
from benchmarks.stack import open_stack
from benchmarks.table import render_report, render_table
from benchmarks.turns import parse_rounds

REPORT = Path(__file__).with_name("RESULTS.md")
SERVICES = "# Speed of frozen services\n"
COMMANDS = (
    "scripts/release                      # builds the bottle in dist/",
    "tar -xzf dist/stigmer-*.bottle.tar.gz -C DIRECTORY",
    "scripts/bench DIRECTORY/stigmer/*    # this table",
    "hyperfine -N -w 5 'python3 -I -S -c pass' 'DIRECTORY/stigmer/2.0.0/bin/stigmer --version'   # its first row",
)


_LONGEST = 4 * 3600.0  # seconds


def main() -> int:
    """Measure, print the table and write the report; the exit code is 0 even if a limit is missed."""
    options = _parser().parse_args()
    if options.entered or options.filesystem == filesystem.DISK:
        return _measure_here(options)
    return _measure_on_new_filesystem(options)


def _measure_on_new_filesystem(options: argparse.Namespace) -> int:
    """Run this program again on a fresh file system, which is removed afterwards."""
    place = filesystem.place_of(options.filesystem, options.work)
    with tempfile.TemporaryDirectory(prefix="stigmer-bench-", dir=place) as work:
        fresh = filesystem.prepare(options.keg.resolve(), Path(work))
        changed = {**vars(options), "work": fresh.folder, "report": options.report.resolve()}
        words = [
            f"--{name}={value}"
            for name, value in changed.items()
            if name not in ("keg", "entered") and value is not None
        ]
        command = [*fresh.prefix, sys.executable, "-P", "-m", "benchmarks.run", str(fresh.keg), "--entered", *words]
        return subprocess.run(command, timeout=_LONGEST, check=False).returncode


def _measure_here(options: argparse.Namespace) -> int:
    counts = Counts(options.commands, options.installs, options.starts, options.rest)
    keg = options.keg.resolve()
    python = options.python or find_python(keg)
    if not has_python(keg, version := version_of(python)):
        raise BenchmarkError(
            f"the launcher of {keg} was not frozen from Python {version}: name its interpreter with --python PATH; "
            "the pinned one is prefix/bin/python3.13 in the cache's freeze-python/*"
        )
    began = load()
    with tempfile.TemporaryDirectory(prefix="stigmer-bench-", dir=options.work) as work:
        results = _measure(keg, Path(work), python, counts)
    note = f"The load average was {began:.1f} at the beginning and {load():.1f} at the end."
    report = render_report(results, describe_machine(keg, python, options.filesystem), COMMANDS, note)
    options.report.write_text(report + _services_of(options.report), encoding="utf-8")
    sys.stdout.write(render_table(results) + "\n")
    return 0


def _services_of(report: Path) -> str:
    """Return the section of a report about frozen services, which is measured by other commands."""
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    _, heading, part = text.partition(SERVICES)
    return f"\n{heading}{part}" if heading else ""


def _measure(keg: Path, work: Path, python: Path, counts: Counts) -> Results:
    stack = open_stack(keg, work / "home")
    try:
        return {
            **measure_commands(stack, python, counts),
            **measure_installation(stack, python, counts),
            **measure_life(stack, counts, _say),
            **measure_supervisor(stack, counts),
        }
    finally:
        stack.ensure_stopped()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description="Measure the launcher of a keg against the speed table.")
    parser.add_argument("keg", type=Path, help="the directory stigmer/VERSION of an unpacked bottle")
    parser.add_argument(
        "--python", type=Path, help="the interpreter the launcher was frozen from (default: found automatically)"
    )
    parser.add_argument(
        "--work", type=Path, help="working directory (default: TMPDIR); with `--filesystem disk`, on the keg's disk"
    )
    kinds = filesystem.kinds()
    parser.add_argument(
        "--filesystem",
        choices=kinds,
        default=kinds[0],
        help="measure on a fresh file system in memory or in a file, or on the keg's own disk",
    )
    # passed by the outer process to the one on the fresh file system
    parser.add_argument("--entered", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--report", type=Path, default=REPORT, help="the file to write (default: benchmarks/RESULTS.md)"
    )
    parser.add_argument("--commands", type=parse_rounds, default=101, help="rounds of the short commands")
    parser.add_argument("--installs", type=parse_rounds, default=51, help="rounds of installing the components")
    parser.add_argument(
        "--starts", type=parse_rounds, default=11, help="rounds of a cold and a warm start, each with a stop"
    )
    parser.add_argument("--rest", type=float, default=60.0, help="seconds to observe the supervisor")
    return parser


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"Error: {error}")

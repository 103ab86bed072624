"""Executes a plan: reuses the current records in the workspace, makes the others, and returns each step's result."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import IO, Any, NamedTuple, Protocol

from stigmer_packaging.lib import command, digest
from stigmer_packaging.lib.errors import PackagingError, RecordError
from stigmer_packaging.pipeline import schedule
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.records.workspace import Workspace


class Maker(NamedTuple):
    """How a step's record is made: its type, the digest of the stage's code, and the stage, which also writes it."""

    kind: type
    code: str
    make: Callable[[Step, Mapping[str, Any]], Any]


class Progress(Protocol):
    """Observer of a run."""

    def begin(self, step: Step) -> None:
        """Handle the start of a step that makes its record."""

    def log_line(self, line: str) -> None:
        """Handle a line of its log: a command, or a program's output."""

    def end(self, result: "StepResult") -> None:
        """Handle the end of a step that made or reused its record."""


@dataclass(frozen=True)
class LedgerEntry:
    """The ledger's entry for one record: `inputs` is the digest of what it was made from, including the stage's code.

    `record` is the digest of the record itself, so that the entry does not apply to a record written by other means.
    """

    inputs: str
    record: str


@dataclass(frozen=True)
class StepResult:
    """The result of one step; `seconds` is how long it took, whether the record was made or reused."""

    step: Step
    record: Any
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Pipeline:
    """Runs steps in a workspace with the makers of their records, an observer, and a clock in seconds.

    `at_once` is the maximum number of steps that run at the same time.
    """

    workspace: Workspace
    maker_of: Callable[[Step], Maker]
    progress: Progress
    clock: Callable[[], float]
    at_once: int = 1

    def preview(self, steps: Sequence[Step]) -> tuple[tuple[Step, bool], ...]:
        """Return whether each step's record is current, without making any; one that needs a stale record is stale."""
        known: dict[str, Any] = {}
        for step in steps:
            needs = {name: known[name] for name in step.needs if name in known}
            if len(needs) == len(step.needs) and (record := self._current(step, needs)) is not None:
                known[step.name] = record
        return tuple((step, step.name in known) for step in steps)

    def run(self, steps: Sequence[Step]) -> tuple[StepResult, ...]:
        """Run the steps and return their results; the first failure ends the run, and the next run resumes there."""
        with self.running(steps) as results:
            return results

    @contextlib.contextmanager
    def running(self, steps: Sequence[Step]) -> Iterator[tuple[StepResult, ...]]:
        """Run the steps and yield the results with the workspace locked, so that no other run changes the artefacts."""
        results: dict[str, StepResult] = {}

        def work(step: Step) -> StepResult:
            return self._run_step(step, {name: results[name].record for name in step.needs})

        with self.workspace.locked(" ".join(sorted({step.stage for step in steps}))):
            for step, result in schedule.run_steps(steps, work, at_once=self.at_once):
                results[step.name] = result
                self.progress.end(result)
            yield tuple(results[step.name] for step in steps)

    def _run_step(self, step: Step, needs: Mapping[str, Any]) -> StepResult:
        began = self.clock()
        current: Any = self._current(step, needs)
        record = self._make(step, needs) if current is None else current
        return StepResult(step, record, self.clock() - began, reused=current is not None)

    def _make(self, step: Step, needs: Mapping[str, Any]) -> Any:
        self.progress.begin(step)
        maker = self.maker_of(step)
        log = self.workspace.path(f"logs/{step.name}.log")
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("w", encoding="utf-8", buffering=1) as stream:  # a killed step leaves its output so far
                record = self._observe(stream, partial(maker.make, step, needs))
            self.workspace.write_record(f"ledger/{step.name}", _ledger_entry(record, step, needs, maker.code))
        except PackagingError as error:
            error.log = log
            raise
        except OSError as error:  # the error of a full disk names no file
            places = f"{self.workspace.root}, {self.workspace.cache} and {tempfile.gettempdir()}"
            remedy = f"free space or correct permissions, then run it again; it writes to {places}"
            raise PackagingError(f"{step.name} could not be made: {error}", remedy) from error
        return record

    def _observe(self, log: IO[str], make: Callable[[], Any]) -> Any:
        def write(line: str) -> None:
            print(line, file=log)
            self.progress.log_line(line)

        with command.observed(write):
            return make()

    def _current(self, step: Step, needs: Mapping[str, Any]) -> Any | None:
        maker = self.maker_of(step)
        try:
            record: Any = self.workspace.read_record(step.name, maker.kind)
            entry = self.workspace.read_record(f"ledger/{step.name}", LedgerEntry)
        except RecordError:
            return None
        is_current = entry == _ledger_entry(record, step, needs, maker.code) and self.workspace.is_intact(record)
        return record if is_current else None


def _ledger_entry(record: Any, step: Step, needs: Mapping[str, Any], code: str) -> LedgerEntry:
    """Return a record's ledger entry: its inputs are the step's facts, the records it needs, and the stage's code."""
    contents = {name: _digest_of(needed) for name, needed in needs.items()}
    return LedgerEntry(digest.sha256_of_value(step.name, step.facts, contents, code), _digest_of(record))


def _digest_of(record: Any) -> str:
    return digest.sha256_of_value(asdict(record))

"""A pipeline of fake stages over a real workspace: directories and a file whose content depends only on the plan."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stigmer_packaging.lib import digest
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.pipeline.run import Maker, Pipeline, StepResult
from stigmer_packaging.records.model import BuiltPart, ReleaseFile
from stigmer_packaging.records.workspace import Workspace, scan_files


def step(name: str, *needs: str, **facts: object) -> Step:
    """Return a step whose stage is the first part of its name; its fact `text` is the content of the artefact."""
    stage, _, subject = name.partition("/")
    return Step(name, stage, "linux-amd64", subject or stage, needs, facts)


def two_parts_and_a_bottle(text: str) -> tuple[Step, ...]:
    """Return steps that make two directories and a file from both; all contain `text`."""
    parts = ("obtain/one", "obtain/two")
    return (*(step(name, text=text) for name in parts), step("bottle", *parts))


def one_part_and_a_bottle(text: str) -> tuple[Step, ...]:
    """Return the smallest plan: a directory, and a file made from it."""
    return (step("obtain/one", text=text), step("bottle", "obtain/one"))


@dataclass
class FakeStage:
    """Makes a directory for `obtain` and a file for `bottle`; `executed` lists the names of the executed steps."""

    workspace: Workspace
    kind: type
    code: str = "first"
    executed: list[str] = field(default_factory=list)
    before_publishing: Callable[[Path], None] = lambda _: None

    def make(self, step: Step, needs: Mapping[str, Any]) -> Any:
        """Write the artefact and its record as real stages do."""
        self.executed.append(step.name)
        with self.workspace.staging() as staged:
            record = self._folder(step, staged) if self.kind is BuiltPart else self._file(staged, needs)
        self.workspace.write_record(step.name, record)
        return record

    def _folder(self, step: Step, staged: Path) -> BuiltPart:
        folder = staged / "folder"
        (folder / "lib").mkdir(parents=True)
        (folder / "program").write_text(f"{step.facts['text']} {step.subject}", encoding="ascii")
        (folder / "lib" / "part").write_text(f"part of {step.subject}", encoding="ascii")
        self.before_publishing(folder)
        files = scan_files(folder)
        self.workspace.publish(folder, step.name)
        return BuiltPart(step.subject, "1.0.0", step.target, step.name, "program", files)

    def _file(self, staged: Path, needs: Mapping[str, Any]) -> ReleaseFile:
        texts = [
            self.workspace.path(need.root).joinpath("program").read_text(encoding="ascii") for need in needs.values()
        ]
        (staged / "file").write_text("\n".join(texts), encoding="ascii")
        self.before_publishing(staged)
        path = self.workspace.publish(staged / "file", "packed/file")
        return ReleaseFile("source", "one", "1.0.0", "packed/file", path.stat().st_size, digest.sha256_of(path))


class FakeProgress:
    """Records which steps began and ended, and the lines of their logs."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.lines: list[str] = []

    def begin(self, step: Step) -> None:
        """Record that a step began."""
        self.began.append(step.name)

    def log_line(self, line: str) -> None:
        """Record a line of a log."""
        self.lines.append(line)

    def end(self, result: StepResult) -> None:
        """Record that a step ended."""
        self.ended.append(result.step.name)


@dataclass
class FakeRelease:
    """A pipeline with its fake stages and its progress."""

    workspace: Workspace
    obtain: FakeStage
    bottle: FakeStage
    progress: FakeProgress = field(default_factory=FakeProgress)

    def pipeline(self) -> Pipeline:
        """Return the pipeline; its clock stands still."""
        stages = {"obtain": self.obtain, "bottle": self.bottle}

        def maker_of(step: Step) -> Maker:
            return Maker(stages[step.stage].kind, stages[step.stage].code, stages[step.stage].make)

        return Pipeline(self.workspace, maker_of, self.progress, lambda: 0.0)

    def run(self, steps: Sequence[Step]) -> list[str]:
        """Run the steps; return the names of those that were executed rather than reused."""
        return [result.step.name for result in self.pipeline().run(steps) if not result.reused]


def fake_release(root: Path) -> FakeRelease:
    """Return a release whose workspace is `root`."""
    workspace = Workspace(root, root.parent / "cache")
    return FakeRelease(workspace, FakeStage(workspace, BuiltPart), FakeStage(workspace, ReleaseFile))

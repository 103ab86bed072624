"""Takes over what another machine made: its records, and the artefacts they describe, byte for byte."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.records.model import Bottle, Standalone, VerificationReport
from stigmer_packaging.records.workspace import Workspace, scan_files


def offered_by(folders: Iterable[Path]) -> frozenset[str]:
    """Name every record in these folders, each the workspace of another machine, or a copy of one."""
    return frozenset(
        path.relative_to(folder / "records").with_suffix("").as_posix()
        for folder in folders
        for path in (folder / "records").rglob("*.json")
    )


def gather(
    steps: Iterable[Step],
    kind_of: Callable[[Step], type],
    folders: Sequence[Path],
    workspace: Workspace,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Bring what the steps are to take over into the workspace, from the first folder that has it; give the records.

    A step that no folder has anything for is left as it is. Raise RecordError when a record is damaged, is not of the
    step's version, or its artefact is not what it says; nothing is replaced then. Lost modes are set again: they are in
    the records, and some ways of moving files between machines do not keep them.
    """
    taken: dict[str, Any] = {}
    for step in (step for step in steps if step.gathered):
        for source in (Workspace(folder, workspace.cache) for folder in folders):
            if not source.path(f"records/{step.name}.json").is_file():
                continue
            record: Any = source.read_record(step.name, kind_of(step))
            _check(step, record, source)
            if workspace.current(step.name, kind_of(step), record.made_from) != record:
                report(f"taking {step.name} from {source.root}")
                workspace.forget(step.name)
                _bring(record, source, workspace)
                workspace.write_record(step.name, record)
            taken[step.name] = record
            break
    return taken


def _check(step: Step, record: Any, source: Workspace) -> None:
    target, version = getattr(record, "target", step.target), getattr(record, "version", None)
    wanted = step.facts.get("version", version)
    if (target, version) != (step.target, wanted):
        raise RecordError(f"{step.name} in {source.root} is {version} for {target}: {wanted} is asked for")
    if isinstance(record, VerificationReport):
        if not record.passed:
            raise RecordError(f"{step.name} in {source.root} is no proof: it did not pass")
        if record.bottle_sha256 != _verified(step, source).sha256:
            what = "single file" if step.subject == "program" else "bottle"
            raise RecordError(f"{step.name} in {source.root} is about another {what}")


def _verified(step: Step, source: Workspace) -> Bottle | Standalone:
    if step.subject == "program":
        return source.read_record(f"program/{step.target}", Standalone)
    return source.read_record(f"bottle/{step.target}", Bottle)


def _bring(record: Any, source: Workspace, workspace: Workspace) -> None:
    with workspace.staging() as staged:
        if root := getattr(record, "root", ""):
            for file in record.files:
                place = staged / "folder" / file.path
                place.parent.mkdir(parents=True, exist_ok=True)
                _copy(source.path(root) / file.path, place)
                place.chmod(file.mode)
            if set(scan_files(staged / "folder")) != set(record.files):
                raise RecordError(f"{root} in {source.root} is not what its record says")
            workspace.publish(staged / "folder", root)
        elif path := getattr(record, "path", ""):
            _copy(source.path(path), staged / "file")
            if digest.sha256_of(staged / "file") != record.sha256:
                raise RecordError(f"{path} in {source.root} is not what its record says")
            workspace.publish(staged / "file", path)


def _copy(file: Path, place: Path) -> None:
    if not file.is_file() or file.is_symlink():
        raise RecordError(f"{file} is missing: its record came without it")
    shutil.copyfile(file, place)

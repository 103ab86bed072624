"""Helpers that run the doctor and look up its findings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from stigmer_launcher.cli.commands.doctor import Report
from stigmer_launcher.doctor.diagnosis import diagnose
from stigmer_launcher.doctor.findings import Finding
from stigmer_launcher.system.places import Places


def look(
    keg: Path | str, places: Places, environ: Mapping[str, str] = MappingProxyType({}), *, deep: bool = False
) -> Report:
    return diagnose({"STIGMER_HOME": places.home, "STIGMER_PAYLOAD": str(keg), **environ}, deep=deep)


def every(report: Report) -> Sequence[Finding]:
    return [each for found in report.values() for each in found]


def found(report: Report, section: str, name: str) -> Finding:
    (finding,) = [each for each in report[section] if each.name == name]
    return finding


def write_state(places: Places, state: object) -> None:
    Path(places.run).mkdir(parents=True, exist_ok=True)
    Path(places.run, "state.json").write_text(json.dumps(state), encoding="utf-8")

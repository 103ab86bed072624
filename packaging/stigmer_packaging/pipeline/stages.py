"""How the pipeline calls each stage: which record a step makes, which code makes it, and with which arguments."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stigmer_packaging.audit import stage as audit
from stigmer_packaging.bottle import assemble, bottle, standalone
from stigmer_packaging.formula import stage as formula
from stigmer_packaging.freeze import stage as freeze
from stigmer_packaging.lib.errors import VerificationError
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.licensing import stage as credit
from stigmer_packaging.manifest.model import Component
from stigmer_packaging.pipeline import fingerprint
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.credits import credits_by_go, environment_of
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.records.model import (
    AuditReport,
    Bottle,
    Credits,
    Formula,
    Keg,
    LauncherBundle,
    Sbom,
    ServiceBinary,
    SourceArchive,
    Standalone,
    VerificationReport,
)
from stigmer_packaging.sources import stage as obtain
from stigmer_packaging.verify import stage as verify
from stigmer_packaging.verify.guest import Task
from stigmer_packaging.verify.machines import MachineFactory

Needs = Mapping[str, Any]
SOURCES = ("artifact", "checkout", "wheel")


@dataclass(frozen=True)
class StageMaker:
    """One stage's call for one kind of record; `modules` are where the stage's code begins."""

    kind: type
    modules: tuple[str, ...]
    make: Callable[[Step, Needs], Any]

    @property
    def code(self) -> str:
        """The digest of the code that makes it."""
        return fingerprint.digest_of_code(*(f"stigmer_packaging.{module}" for module in self.modules))


def stage_registry(context: BuildContext) -> Mapping[str, Callable[[Step], StageMaker]]:
    """Give for each stage how a step of it is made."""
    calls = _Calls(context)
    obtain_code = ("sources.stage", *(f"sources.{kind}" for kind in SOURCES))
    launcher = StageMaker(LauncherBundle, ("freeze.stage",), calls.freeze_launcher)
    service = StageMaker(ServiceBinary, ("freeze.stage",), calls.freeze_service)
    credited = StageMaker(Credits, ("licensing.stage", "licensing.gomodules"), calls.credit)
    listed = StageMaker(Sbom, ("licensing.stage",), calls.write_sbom)
    archive = StageMaker(SourceArchive, ("bottle.bottle",), calls.pack_source)
    packed = StageMaker(Bottle, ("bottle.bottle",), calls.pack_keg)
    tree = StageMaker(Standalone, ("bottle.standalone",), calls.pack_archive)
    program = StageMaker(Standalone, ("bottle.standalone",), calls.pack_program)
    return {
        "obtain": lambda _: StageMaker(ServiceBinary, obtain_code, calls.obtain),
        "freeze": lambda step: launcher if step.subject == "launcher" else service,
        "credit": lambda step: listed if step.subject == "sbom" else credited,
        "assemble": lambda _: StageMaker(Keg, ("bottle.assemble",), calls.assemble),
        "bottle": lambda step: archive if step.subject == "source" else packed,
        "standalone": lambda step: tree if step.subject == standalone.ARCHIVE else program,
        "audit": lambda _: StageMaker(AuditReport, ("audit.stage",), calls.audit),
        "formula": lambda _: StageMaker(Formula, ("formula.stage",), calls.write_formula),
        "verify": lambda _: StageMaker(VerificationReport, ("verify.stage",), calls.verify),
    }


@dataclass(frozen=True)
class _Calls:
    context: BuildContext

    def obtain(self, step: Step, _needs: Needs) -> ServiceBinary:
        context, part, target = self.context, self._component(step), parse_target(step.target)
        source = context.source_of(part, target)
        env = context.env if target == context.host else None
        return obtain.obtain_component(
            part, target, source, workspace=context.workspace, report=context.report, env=env
        )

    def freeze_launcher(self, step: Step, _needs: Needs) -> LauncherBundle:
        context, product = self.context, self.context.manifest.product
        source = context.root / "launcher"
        return freeze.freeze_launcher(
            source, name=product.name, version=product.version, freezer=context.freezer_of(parse_target(step.target))
        )

    def freeze_service(self, step: Step, needs: Needs) -> ServiceBinary:
        context, part = self.context, self._component(step)
        temporal = next(iter(needs.values()), None)
        return freeze.freeze_service(
            context.service_of(part),
            component=part.name,
            version=part.version,
            temporal=temporal and context.workspace.path(temporal.root) / temporal.entry,
            probe=context.probe_of(part),
            freezer=context.freezer_of(parse_target(step.target)),
        )

    def pack_source(self, _step: Step, _needs: Needs) -> SourceArchive:
        context, product = self.context, self.context.manifest.product
        return bottle.make_source_archive(
            (product.name, product.version),
            context.root,
            context.sources,
            source_date_epoch=context.source_date_epoch,
            workspace=context.workspace,
            report=context.report,
        )

    def credit(self, step: Step, needs: Needs) -> Credits:
        context, (made,) = self.context, needs.values()
        if step.needs[0].startswith("obtain"):
            part = self._component(step)
            by_go = credits_by_go(context)
            return credit.credit_program(part, made, by_go, workspace=context.workspace, report=context.report)
        launcher = isinstance(made, LauncherBundle)
        source = None if launcher else context.service_of(self._component(step))
        licence = context.manifest.product.license if launcher else self._component(step).license
        environment = environment_of(context, parse_target(step.target), source)
        return credit.credit_bundle(
            made, step.subject, licence, environment, workspace=context.workspace, report=context.report
        )

    def write_sbom(self, step: Step, needs: Needs) -> Sbom:
        context, target = self.context, parse_target(step.target)
        return credit.write_sbom(
            context.manifest.product,
            target,
            context.manifest.tag_of(target),
            tuple(needs.values()),
            source_date_epoch=context.source_date_epoch,
            workspace=context.workspace,
            report=context.report,
        )

    def assemble(self, step: Step, needs: Needs) -> Keg:
        context, target = self.context, parse_target(step.target)
        launcher = needs[f"freeze/{target}/launcher"]
        services = tuple(record for record in needs.values() if isinstance(record, ServiceBinary))
        credited = tuple(record for record in needs.values() if isinstance(record, Credits))
        parts = assemble.KegParts(
            launcher, services, context.documents(), needs["source"], credited, needs[f"sbom/{target}"]
        )
        return assemble.assemble_keg(
            context.manifest,
            target,
            parts,
            source_date_epoch=context.source_date_epoch,
            workspace=context.workspace,
            report=context.report,
        )

    def pack_keg(self, step: Step, needs: Needs) -> Bottle:
        context = self.context
        return bottle.make_bottle(
            needs[f"assemble/{step.target}"],
            context.manifest.tag_of(parse_target(step.target)),
            rebuild=context.manifest.product.rebuild,
            source_date_epoch=context.source_date_epoch,
            workspace=context.workspace,
            report=context.report,
        )

    def pack_archive(self, step: Step, needs: Needs) -> Standalone:
        context, keg = self.context, needs[f"assemble/{step.target}"]
        epoch = context.source_date_epoch
        return standalone.make_archive(keg, source_date_epoch=epoch, workspace=context.workspace, report=context.report)

    def pack_program(self, step: Step, needs: Needs) -> Standalone:
        context, keg = self.context, needs[f"assemble/{step.target}"]
        return standalone.make_program(
            keg,
            context.unpacker,
            source_date_epoch=context.source_date_epoch,
            workspace=context.workspace,
            report=context.report,
        )

    def audit(self, step: Step, needs: Needs) -> AuditReport:
        context, packed = self.context, needs[f"bottle/{step.target}"]
        asked = context.policy_of(parse_target(step.target))
        policy = replace(asked, sbom_sha256=needs[f"sbom/{step.target}"].sha256)
        found = audit.audit_bottle(packed, policy=policy, workspace=context.workspace, report=context.report)
        audit.refuse_errors(found, packed)
        return found

    def write_formula(self, _step: Step, needs: Needs) -> Formula:
        context = self.context
        bottles = [record for record in needs.values() if isinstance(record, Bottle)]
        return formula.write_formula(
            context.manifest, needs["source"], bottles, workspace=context.workspace, report=context.report
        )

    def verify(self, step: Step, needs: Needs) -> VerificationReport:
        context = self.context
        mirrors = {context.mirror.distribution: context.mirror}
        maker = MachineFactory(context.host, 1, context.workspace.cache, mirrors, context.report)
        machine = maker.sandbox(maker.default_guest(), parse_target(step.target))
        task = Task(context.verification_script(), secrets.token_hex(16))
        product = needs[f"{'program' if step.subject == 'program' else 'bottle'}/{step.target}"]
        found = verify.verify_bottle(
            product, machine, task, name=step.name, workspace=context.workspace, report=context.report
        )
        refuse_failure(found, str(context.workspace.path(f"{step.name}.log")))
        return found

    def _component(self, step: Step) -> Component:
        return next(part for part in self.context.manifest.components if part.name == step.subject)


def refuse_failure(report: VerificationReport, log: str) -> None:
    """Raise VerificationError, naming every failed check, unless the report is proof."""
    if report.passed:
        return
    failed = "".join(f"\n  {check.name}: {_begin_of(check.detail)}" for check in report.checks if not check.passed)
    ended = "" if report.ended else "\n  the guest did not end by itself, or its report is not whole"
    raise VerificationError(f"verification failed on {report.guest} (log: {log}):{failed}{ended}")


def _begin_of(detail: str, lines: int = 15) -> str:
    """Give the first lines of what was seen; the log has the rest."""
    first = detail.splitlines()
    return "\n    ".join([*first[:lines], *(["…"] if len(first) > lines else [])])

"""How the pipeline calls each stage: which record a step makes, which code makes it, and with which arguments."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stigmer_packaging import fingerprint
from stigmer_packaging.crediting import credits_by_go, environment_of
from stigmer_packaging.errors import VerificationError
from stigmer_packaging.machines import Maker
from stigmer_packaging.manifest_records import Component
from stigmer_packaging.naming import parse_target
from stigmer_packaging.plan import Step
from stigmer_packaging.records import (
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
from stigmer_packaging.stages import assemble, audit, bottle, credit, formula, freeze, obtain, standalone, verify
from stigmer_packaging.tools.guest import Task
from stigmer_packaging.workshop import Workshop

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


def makers(workshop: Workshop) -> Mapping[str, Callable[[Step], StageMaker]]:
    """Give for each stage how a step of it is made."""
    calls = _Calls(workshop)
    obtain_code = ("stages.obtain", *(f"sources.{kind}" for kind in SOURCES))
    launcher = StageMaker(LauncherBundle, ("stages.freeze",), calls.freeze_launcher)
    service = StageMaker(ServiceBinary, ("stages.freeze",), calls.freeze_service)
    credited = StageMaker(Credits, ("stages.credit", "tools.gomodules"), calls.credit)
    listed = StageMaker(Sbom, ("stages.credit",), calls.write_sbom)
    archive = StageMaker(SourceArchive, ("stages.bottle",), calls.pack_source)
    packed = StageMaker(Bottle, ("stages.bottle",), calls.pack_keg)
    tree = StageMaker(Standalone, ("stages.standalone",), calls.pack_archive)
    program = StageMaker(Standalone, ("stages.standalone",), calls.pack_program)
    return {
        "obtain": lambda _: StageMaker(ServiceBinary, obtain_code, calls.obtain),
        "freeze": lambda step: launcher if step.subject == "launcher" else service,
        "credit": lambda step: listed if step.subject == "sbom" else credited,
        "assemble": lambda _: StageMaker(Keg, ("stages.assemble",), calls.assemble),
        "bottle": lambda step: archive if step.subject == "source" else packed,
        "standalone": lambda step: tree if step.subject == standalone.ARCHIVE else program,
        "audit": lambda _: StageMaker(AuditReport, ("stages.audit",), calls.audit),
        "formula": lambda _: StageMaker(Formula, ("stages.formula",), calls.write_formula),
        "verify": lambda _: StageMaker(VerificationReport, ("stages.verify",), calls.verify),
    }


@dataclass(frozen=True)
class _Calls:
    workshop: Workshop

    def obtain(self, step: Step, _needs: Needs) -> ServiceBinary:
        shop, part, target = self.workshop, self._component(step), parse_target(step.target)
        source = shop.source_of(part, target)
        env = shop.env if target == shop.host else None
        return obtain.obtain_component(part, target, source, workspace=shop.workspace, report=shop.report, env=env)

    def freeze_launcher(self, step: Step, _needs: Needs) -> LauncherBundle:
        shop, product = self.workshop, self.workshop.manifest.product
        source = shop.root / "launcher"
        return freeze.freeze_launcher(
            source, name=product.name, version=product.version, freezer=shop.freezer_of(parse_target(step.target))
        )

    def freeze_service(self, step: Step, needs: Needs) -> ServiceBinary:
        shop, part = self.workshop, self._component(step)
        temporal = next(iter(needs.values()), None)
        return freeze.freeze_service(
            shop.service_of(part),
            component=part.name,
            version=part.version,
            temporal=temporal and shop.workspace.path(temporal.root) / temporal.entry,
            probe=shop.probe_of(part),
            freezer=shop.freezer_of(parse_target(step.target)),
        )

    def pack_source(self, _step: Step, _needs: Needs) -> SourceArchive:
        shop, product = self.workshop, self.workshop.manifest.product
        return bottle.make_source_archive(
            (product.name, product.version),
            shop.root,
            shop.sources,
            source_date_epoch=shop.source_date_epoch,
            workspace=shop.workspace,
            report=shop.report,
        )

    def credit(self, step: Step, needs: Needs) -> Credits:
        shop, (made,) = self.workshop, needs.values()
        if step.needs[0].startswith("obtain"):
            part = self._component(step)
            by_go = credits_by_go(shop)
            return credit.credit_program(part, made, by_go, workspace=shop.workspace, report=shop.report)
        launcher = isinstance(made, LauncherBundle)
        source = None if launcher else shop.service_of(self._component(step))
        licence = shop.manifest.product.license if launcher else self._component(step).license
        environment = environment_of(shop, parse_target(step.target), source)
        return credit.credit_bundle(
            made, step.subject, licence, environment, workspace=shop.workspace, report=shop.report
        )

    def write_sbom(self, step: Step, needs: Needs) -> Sbom:
        shop, target = self.workshop, parse_target(step.target)
        return credit.write_sbom(
            shop.manifest.product,
            target,
            shop.manifest.tag_of(target),
            tuple(needs.values()),
            source_date_epoch=shop.source_date_epoch,
            workspace=shop.workspace,
            report=shop.report,
        )

    def assemble(self, step: Step, needs: Needs) -> Keg:
        shop, target = self.workshop, parse_target(step.target)
        launcher = needs[f"freeze/{target}/launcher"]
        services = tuple(record for record in needs.values() if isinstance(record, ServiceBinary))
        credited = tuple(record for record in needs.values() if isinstance(record, Credits))
        parts = assemble.KegParts(
            launcher, services, shop.documents(), needs["source"], credited, needs[f"sbom/{target}"]
        )
        return assemble.assemble_keg(
            shop.manifest,
            target,
            parts,
            host=shop.build_host,
            source_date_epoch=shop.source_date_epoch,
            workspace=shop.workspace,
            report=shop.report,
        )

    def pack_keg(self, step: Step, needs: Needs) -> Bottle:
        shop = self.workshop
        return bottle.make_bottle(
            needs[f"assemble/{step.target}"],
            shop.manifest.tag_of(parse_target(step.target)),
            rebuild=shop.manifest.product.rebuild,
            source_date_epoch=shop.source_date_epoch,
            workspace=shop.workspace,
            report=shop.report,
        )

    def pack_archive(self, step: Step, needs: Needs) -> Standalone:
        shop, keg = self.workshop, needs[f"assemble/{step.target}"]
        epoch = shop.source_date_epoch
        return standalone.make_archive(keg, source_date_epoch=epoch, workspace=shop.workspace, report=shop.report)

    def pack_program(self, step: Step, needs: Needs) -> Standalone:
        shop, keg = self.workshop, needs[f"assemble/{step.target}"]
        return standalone.make_program(
            keg,
            shop.unpacker,
            source_date_epoch=shop.source_date_epoch,
            workspace=shop.workspace,
            report=shop.report,
        )

    def audit(self, step: Step, needs: Needs) -> AuditReport:
        shop, packed = self.workshop, needs[f"bottle/{step.target}"]
        asked = shop.policy_of(parse_target(step.target))
        policy = replace(asked, sbom_sha256=needs[f"sbom/{step.target}"].sha256)
        found = audit.audit_bottle(packed, policy=policy, workspace=shop.workspace, report=shop.report)
        audit.refuse_errors(found, packed)
        return found

    def write_formula(self, _step: Step, needs: Needs) -> Formula:
        shop = self.workshop
        bottles = [record for record in needs.values() if isinstance(record, Bottle)]
        return formula.write_formula(
            shop.manifest, needs["source"], bottles, workspace=shop.workspace, report=shop.report
        )

    def verify(self, step: Step, needs: Needs) -> VerificationReport:
        shop = self.workshop
        mirrors = {shop.mirror.distribution: shop.mirror}
        maker = Maker(shop.host, 1, shop.workspace.cache, mirrors, shop.report)
        machine = maker.sandbox(maker.default_guest(), parse_target(step.target))
        task = Task(shop.verification_script(), secrets.token_hex(16))
        product = needs[f"{'program' if step.subject == 'program' else 'bottle'}/{step.target}"]
        found = verify.verify_bottle(
            product, machine, task, name=step.name, workspace=shop.workspace, report=shop.report
        )
        refuse_failure(found, str(shop.workspace.path(f"{step.name}.log")))
        return found

    def _component(self, step: Step) -> Component:
        return next(part for part in self.workshop.manifest.components if part.name == step.subject)


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

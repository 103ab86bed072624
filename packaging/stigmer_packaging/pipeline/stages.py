"""How the pipeline calls each stage: the type of its record, the modules with its code, and its arguments."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from stigmer_packaging.audit import stage as audit
from stigmer_packaging.binaries.buildinfo import BuildInfo
from stigmer_packaging.bottle import assemble, bottle, standalone
from stigmer_packaging.formula import stage as formula
from stigmer_packaging.freeze import stage as freeze
from stigmer_packaging.lib.errors import VerificationError
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.licensing import gomodules
from stigmer_packaging.licensing import stage as credit
from stigmer_packaging.licensing.licences import Credit, credits_of
from stigmer_packaging.licensing.native import InstalledPackages
from stigmer_packaging.manifest.model import Component
from stigmer_packaging.pipeline import fingerprint
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.pipeline.plan import Step, is_frozen
from stigmer_packaging.pipeline.run import Maker
from stigmer_packaging.records.model import AuditReport, BuiltPart, Credits, Keg, ReleaseFile, VerificationReport
from stigmer_packaging.sources import stage as obtain
from stigmer_packaging.sources.service_source import ServiceSource
from stigmer_packaging.verify import stage as verify
from stigmer_packaging.verify.guest import Task
from stigmer_packaging.verify.machines import MachineFactory

Needs = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of record: its type, the modules at the root of the code that makes it, and the call of its stage."""

    record: type
    modules: tuple[str, ...]
    make: Callable[[BuildContext, Step, Needs], Any]


def maker_of(context: BuildContext, step: Step) -> Maker:
    """Return the maker of a step's record."""
    kind = KINDS.get(f"{step.stage}/{step.subject}") or KINDS[step.stage]
    code = fingerprint.digest_of_code(*(f"stigmer_packaging.{module}" for module in kind.modules))
    return Maker(kind.record, code, partial(kind.make, context))


def _obtain(context: BuildContext, step: Step, _needs: Needs) -> BuiltPart:
    part, target = _component(context, step), parse_target(step.target)
    env = context.env if target == context.host else None
    return obtain.obtain_component(part, target, context.source_of(part, target), env=env, workspace=context.workspace)


def _freeze_launcher(context: BuildContext, step: Step, _needs: Needs) -> BuiltPart:
    freezer = context.freezer_of(parse_target(step.target))
    return freeze.freeze_launcher(context.root / "launcher", manifest=context.manifest, freezer=freezer)


def _freeze_service(context: BuildContext, step: Step, needs: Needs) -> BuiltPart:
    part = _component(context, step)
    temporal = next(iter(needs.values()), None)
    return freeze.freeze_service(
        context.service_of(part),
        component=part.name,
        version=part.version,
        temporal=temporal and context.workspace.path(temporal.root) / temporal.entry,
        probe=context.probe_of(part),
        freezer=context.freezer_of(parse_target(step.target)),
    )


def _pack_source(context: BuildContext, _step: Step, _needs: Needs) -> ReleaseFile:
    product = context.manifest.product
    name_and_version = (product.name, product.version)
    return bottle.make_source_archive(name_and_version, context.root, context.sources, **context.output)


def _credit(context: BuildContext, step: Step, needs: Needs) -> Credits:
    (part_record,) = needs.values()
    if step.subject == "launcher":
        source, licence = None, context.manifest.product.license
    else:
        part = _component(context, step)
        if not is_frozen(part):
            credit_go = partial(_credit_go, context, part.license)
            return credit.credit_program(part_record, part.license, credit_go, workspace=context.workspace)
        source, licence = context.service_of(part), part.license
    environment = _environment_of(context, parse_target(step.target), source)
    return credit.credit_bundle(part_record, licence, environment, workspace=context.workspace)


def _credit_go(context: BuildContext, licence: str, info: BuildInfo) -> Sequence[Credit]:
    """Return the credits of a Go program's modules; Go downloads those that the build has not left in its cache."""
    cache, env = context.workspace.cache, context.go.environment_for(context.tree.path)
    program = context.go.provide()
    return gomodules.credit_go(info, licence=licence, program=program, cache=cache, env=env, report=context.report)


def _environment_of(context: BuildContext, target: Target, source: ServiceSource | None) -> credit.Environment:
    """Return the environment that a project, or the launcher if it is None, was frozen from for a target."""
    pins, owners = (source.pins, source.table.owners) if source else ((), {})
    provided = freeze.provide(pins, context.freezer_of(target), owners)
    packages = provided.packages or InstalledPackages(context.env)
    return credit.Environment(provided.site.folder, frozenset(pin.name for pin in pins), provided.interpreter, packages)


def _write_sbom(context: BuildContext, step: Step, needs: Needs) -> ReleaseFile:
    product, target = context.manifest.product, parse_target(step.target)
    tag, credited = context.manifest.tag_of(target), tuple(needs.values())
    return credit.write_sbom(product, target, tag, credited, **context.output)


def _assemble(context: BuildContext, step: Step, needs: Needs) -> Keg:
    target = parse_target(step.target)
    built = [record for record in needs.values() if isinstance(record, BuiltPart)]
    parts = assemble.KegParts(
        needs[f"freeze/{target}/launcher"],
        context.root / "launcher",
        tuple(record for record in built if record.component != "launcher"),
        context.documents(),
        needs["source"],
        tuple(record for record in needs.values() if isinstance(record, Credits)),
        needs[f"sbom/{target}"],
    )
    return assemble.assemble_keg(context.manifest, target, parts, **context.output)


def _pack_keg(context: BuildContext, step: Step, needs: Needs) -> ReleaseFile:
    tag, rebuild = context.manifest.tag_of(parse_target(step.target)), context.manifest.product.rebuild
    return bottle.make_bottle(needs[f"assemble/{step.target}"], tag, rebuild=rebuild, **context.output)


def _pack_archive(context: BuildContext, step: Step, needs: Needs) -> ReleaseFile:
    return standalone.make_archive(needs[f"assemble/{step.target}"], **context.output)


def _pack_program(context: BuildContext, step: Step, needs: Needs) -> ReleaseFile:
    credit_unpacker = partial(_credit_unpacker, context, step.target)
    return standalone.make_program(
        needs[f"assemble/{step.target}"], context.unpacker, credit_unpacker, **context.output
    )


def _credit_unpacker(context: BuildContext, target: str, info: BuildInfo | None) -> Credits:
    product = context.manifest.product
    found = _credit_go(context, product.license, info) if info else ()
    return credits_of("unpacker", product.version, product.license, target, found)


def _audit(context: BuildContext, step: Step, needs: Needs) -> AuditReport:
    packed, sbom = needs[f"bottle/{step.target}"], needs[f"sbom/{step.target}"]
    policy = replace(context.policy_of(parse_target(step.target)), sbom_sha256=sbom.sha256)
    report = audit.audit_bottle(packed, policy=policy, workspace=context.workspace)
    audit.refuse_errors(report, packed)
    return report


def _write_formula(context: BuildContext, _step: Step, needs: Needs) -> ReleaseFile:
    bottles = [record for name, record in needs.items() if name.startswith("bottle/")]
    return formula.write_formula(context.manifest, needs["source"], bottles, workspace=context.workspace)


def _verify(context: BuildContext, step: Step, needs: Needs) -> VerificationReport:
    mirrors = {context.mirror.distribution: context.mirror}
    factory = MachineFactory(context.host, 1, context.workspace.cache, mirrors, context.report)
    machine = factory.sandbox(factory.default_guest(), parse_target(step.target))
    task = Task(context.verification_script(), secrets.token_hex(16))
    report = verify.verify_bottle(needs[step.needs[0]], machine, task, name=step.name, workspace=context.workspace)
    refuse_failure(report, str(context.workspace.path(f"{step.name}.log")))
    return report


def _component(context: BuildContext, step: Step) -> Component:
    return next(part for part in context.manifest.components if part.name == step.subject)


# A stage does not import the modules it calls through a Protocol, so they are listed beside its own.
_FREEZE = ("freeze.stage", "freeze.pythons")
_SOURCES = ("sources.artifact", "sources.checkout", "sources.wheel")
KINDS = {
    "obtain": Kind(BuiltPart, ("sources.stage", *_SOURCES), _obtain),
    "freeze": Kind(BuiltPart, _FREEZE, _freeze_service),
    "freeze/launcher": Kind(BuiltPart, _FREEZE, _freeze_launcher),
    "credit": Kind(Credits, ("licensing.stage", "licensing.gomodules", *_FREEZE), _credit),
    "credit/sbom": Kind(ReleaseFile, ("licensing.stage",), _write_sbom),
    "assemble": Kind(Keg, ("bottle.assemble",), _assemble),
    "bottle": Kind(ReleaseFile, ("bottle.bottle",), _pack_keg),
    "bottle/source": Kind(ReleaseFile, ("bottle.bottle",), _pack_source),
    "standalone/archive": Kind(ReleaseFile, ("bottle.standalone",), _pack_archive),
    "standalone/program": Kind(ReleaseFile, ("bottle.standalone", "licensing.gomodules"), _pack_program),
    "audit": Kind(AuditReport, ("audit.stage",), _audit),
    "formula": Kind(ReleaseFile, ("formula.stage",), _write_formula),
    "verify": Kind(VerificationReport, ("verify.stage", "verify.machines"), _verify),
}
"""The kinds of records by stage, or by `STAGE/SUBJECT` where a stage makes several kinds."""


def refuse_failure(report: VerificationReport, log: str) -> None:
    """Raise VerificationError with every failed check unless the report passed."""
    if report.passed:
        return
    failed = "".join(f"\n  {check.name}: {_first_lines(check.detail)}" for check in report.checks if not check.passed)
    ended = "" if report.ended else "\n  the guest did not end by itself, or its report is incomplete"
    raise VerificationError(f"verification failed on {report.guest} (log: {log}):{failed}{ended}")


def _first_lines(detail: str, lines: int = 15) -> str:
    """Return the first lines of a check's detail; the log has the rest."""
    first = detail.splitlines()
    return "\n    ".join([*first[:lines], *(["…"] if len(first) > lines else [])])

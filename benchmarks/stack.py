"""One keg's stack, started and stopped as a user does, with its own home and ports."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.turns import run_program
from stigmer_launcher.errors import PortError
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.launch.prepare import prepare
from stigmer_launcher.supervise.state import Instance, supervisor_pid
from stigmer_launcher.system.places import Places, find_places
from stigmer_launcher.system.ports import require_free

_LOWEST_PORT, _HIGHEST_PORT = 20000, 32768  # Linux's ephemeral ports begin at the latter
STOPPED = 3  # exit code of `stigmer server status` when nothing runs


class Stack(NamedTuple):
    """A keg, a home that may be removed at any time, and the number of each port by name."""

    keg: Path
    home: Path
    ports: Mapping[str, int]

    @property
    def libexec(self) -> Path:
        """The directory of the index and the components."""
        return self.keg / "libexec"

    @property
    def environment(self) -> dict[str, str]:
        """The complete environment of our processes."""
        path = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.home.parent)}
        return {**path, "STIGMER_HOME": str(self.home), "STIGMER_PAYLOAD": str(self.libexec)}

    @property
    def places(self) -> Places:
        """The paths in the home."""
        return find_places(self.environment)

    def command(self, *arguments: str, expect: int = 0) -> float:
        """Run the frozen launcher; return the seconds it took."""
        return run_program((str(self.keg / "bin" / "stigmer"), *arguments), self.environment, expect=expect)

    def start(self) -> float:
        """Start the stack; return the seconds until everything is ready."""
        chosen = [word for name, number in self.ports.items() for word in ("--port", f"{name}={number}")]
        return self.command("server", *chosen)

    def stop(self) -> float:
        """Stop the stack; return the seconds until it has stopped."""
        return self.command("server", "stop")

    def ensure_stopped(self) -> None:
        """Stop what a failed measurement left running."""
        if supervisor_pid(Instance(self.places.run)):
            self.stop()

    def clear(self) -> None:
        """Remove the home with everything in it."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.home)

    def programs(self) -> Launch:
        """Return what the launcher would run here, but with each program in the keg; the home is removed."""
        self.clear()
        launch, _ = prepare(self.environment, self.ports, {}, lambda _: None)
        self.clear()
        installed = f"{self.places.versions}/{launch.version_id}"
        from_keg = {
            name: service._replace(command=(service.command[0].replace(installed, f"{self.libexec}/components"), *service.command[1:]))
            for name, service in launch.services.items()
        }  # fmt: skip
        return launch._replace(services=from_keg)


def _is_free(port: int) -> bool:
    with contextlib.suppress(PortError):
        require_free({"any": port})
        return True
    return False


def open_stack(keg: Path, home: Path) -> Stack:
    """Return a stack on currently free ports below the ephemeral range, as every start must find them free again."""
    payload = read_keg(str(keg / "libexec")).payload
    names = [name for component in payload.components for name, _ in component.ports]
    free = (port for port in range(_LOWEST_PORT, _HIGHEST_PORT) if _is_free(port))
    return Stack(keg, home, dict(zip(names, free, strict=False)))

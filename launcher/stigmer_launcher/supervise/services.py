"""The processes of the services: start, signal, read output, reap. The watchdog knows each of them."""

import os
from signal import SIGKILL

from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.supervise.child import spawn
from stigmer_launcher.supervise.lifecycle import Exited
from stigmer_launcher.supervise.logfile import LogFile, log_path
from stigmer_launcher.supervise.state import ServiceSnapshot
from stigmer_launcher.supervise.watchdog import Watchdog
from stigmer_launcher.system import process

_CHUNK = 65536
_LAST_CHUNKS = 16  # read at most of what a service printed just before its end


class Services:
    """The processes of a launch: `members` and `logs` by service, and the service of each of the open `outputs`.

    A member is what is fixed of a service, and who its process is.
    """

    def __init__(self, launch: Launch, watchdog: Watchdog) -> None:
        self._launch, self._watchdog = launch, watchdog
        self.logs = {name: LogFile(log_path(launch.logs, name), launch.secrets) for name in launch.names()}
        self.members = {
            each.plan.name: ServiceSnapshot(
                each.plan.name,
                managed=each.plan.managed,
                stop_order=each.plan.stop_order,
                grace=each.plan.grace,
                port=each.port,
                version=each.version,
            )
            for each in launch.services
        }
        self.outputs: dict[int, str] = {}

    def start(self, name: str) -> int:
        """Run a service and give its pid; OSError when it cannot be run."""
        service = self._launch.service(name)
        child = spawn(service.command, service.environment)
        self._enter(name, child.pid, process.identity(child.pid))
        self.outputs[child.output] = name
        self.logs[name].last = []
        return child.pid

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a service's process group, if it runs."""
        process.signal_group(self.members[name].pid, number)

    def pump(self, output: int) -> bool:
        """Move one chunk of a service's output to its log, and return whether there was any; close what has ended."""
        try:
            data = os.read(output, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self.logs[self.outputs[output]].write(data)
        else:
            self._shut(output)
        return bool(data)

    def reap(self, pid: int) -> Exited | None:
        """Collect a process that has ended, the rest of its group and of its output; None when it is no service's."""
        name = next((name for name, member in self.members.items() if member.pid == pid), "")
        if name:
            process.signal_group(pid, SIGKILL)  # before its number can be given to another group
        _, status = os.waitpid(pid, 0)
        if not name:
            return None
        self._enter(name, 0, "")
        self._drain(name)
        return Exited(name, process.describe_exit(status), outside=process.is_ended_by_others(status))

    def _enter(self, name: str, pid: int, identity: str) -> None:
        """Note who a service's process is, and let the watchdog know."""
        self.members[name] = self.members[name]._replace(pid=pid, identity=identity)
        self._watchdog.watch(self.members.values())

    def _drain(self, name: str) -> None:
        """Read what a service printed just before its end; one that escaped may go on printing, which is not awaited."""
        for output in [output for output, service in self.outputs.items() if service == name]:
            for _ in range(_LAST_CHUNKS):
                if not self.pump(output):
                    break
            if output in self.outputs:
                self._shut(output)

    def _shut(self, output: int) -> None:
        self.logs[self.outputs.pop(output)].flush()
        os.close(output)

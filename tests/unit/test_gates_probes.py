"""Without Temporal, a frozen service must fail to connect; with Temporal, it must become ready and stop."""

from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.freeze.probes import (
    ServiceProbe,
    Trial,
    check_failure,
    explain_excludes,
    try_service,
)
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.manifest.model import FreezeTable
from stigmer_packaging.sources.freeze_table import FreezeSettings
from support.freezing import ENV, PROBE, SAMPLES, make_program


def read_sample(name: str) -> str:
    return (SAMPLES / "startup" / f"{name}.txt").read_text(encoding="utf-8")


REFUSED = read_sample("connection-refused")
CONNECT = "import os, socket\nhost, port = os.environ['TEMPORAL_SERVICE_ADDRESS'].split(':')\n"
WAIT = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))\n"
READY = "print('Worker ready', flush=True)\n"


def trial_of(folder: Path, source: str, probe: ServiceProbe = PROBE) -> Trial:
    return Trial(make_program(folder / "service", source), probe, folder, ENV)


@pytest.mark.parametrize(
    ("code", "output", "reason"),
    [
        (1, read_sample("configuration"), "for another reason"),
        (1, read_sample("multipart-trap"), "missing in the bundle"),
        (1, read_sample("module-not-frozen"), "missing in the bundle"),
        (1, read_sample("library-not-bundled"), "missing in the bundle"),
        (1, "ImportError: no daytona\n" + REFUSED, "missing in the bundle"),  # caught and logged, fails only when used
        (0, REFUSED, "exit code 0: it did not fail"),
    ],
)
def test_a_service_must_fail_because_of_the_refused_connection_only(code: int, output: str, reason: str) -> None:
    """The samples are output of real frozen programs; the error must include the last line."""
    with pytest.raises(GateError, match=reason) as refused:
        check_failure(code, output)
    assert output.splitlines()[-1] in str(refused.value)


def test_a_service_that_fails_to_connect_passes(tmp_path: Path) -> None:
    check_failure(1, REFUSED)
    trial_of(tmp_path, CONNECT + "socket.create_connection((host, int(port)))").without_temporal()


def test_a_service_that_never_gives_up_connecting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract requires it to fail; without a timeout, the build would hang."""
    monkeypatch.setattr("stigmer_packaging.freeze.probes.SECONDS", 0.5)
    with pytest.raises(GateError, match="does not exit"):
        trial_of(tmp_path, "import time\ntime.sleep(60)").without_temporal()


def test_a_service_is_probed_in_an_isolated_environment(tmp_path: Path) -> None:
    """A `.env` file, the home or PYTHONPATH of the build host must not influence the probe."""
    source = "import os, sys\nsys.exit(f\"{sorted(os.environ)} {os.environ['HOME']}\")"
    trial = trial_of(tmp_path, source, ServiceProbe({"MODE": "local"}, "", 1))
    with pytest.raises(GateError) as refused:
        replace(trial, env={**ENV, "PYTHONPATH": "x"}).without_temporal()
    assert "PYTHONPATH" not in str(refused.value)
    assert f"'] {tmp_path}" in str(refused.value)
    assert "'MODE'" in str(refused.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise SystemExit('no such queue')", "no such queue"),
        (WAIT.format(code=3) + READY + "signal.pause()", "exit code 3"),
        (
            "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "while True: signal.pause()",
            "did not stop within",
        ),
        ("print('ImportError: daytona')\n" + WAIT.format(code=0) + READY + "signal.pause()", "ImportError: daytona"),
    ],
)
def test_a_service_that_does_not_work_with_temporal_is_refused(tmp_path: Path, source: str, reason: str) -> None:
    with pytest.raises(GateError, match=reason):
        trial_of(tmp_path, source, replace(PROBE, grace=1)).start_and_stop("127.0.0.1:9")


def test_a_failed_selftest_is_refused_with_its_output(tmp_path: Path) -> None:
    trial = trial_of(tmp_path, "import sys\nsys.exit(0 if sys.argv[1:] == ['--good'] else 'the graph answered 41')")
    trial.selftest(("--good",))
    with pytest.raises(GateError, match="the graph answered 41"):
        trial.selftest(("--bad",))


def test_placeholders_in_arguments_and_environment_are_filled_in_for_each_start(tmp_path: Path) -> None:
    source = (
        "import os, sys\n"
        "home, port, other = sys.argv[1], os.environ['PORT'], os.environ['OTHER']\n"
        "assert home == os.environ['HOME'] and port == os.environ['SAME'] != other and 'KEY' not in os.environ\n"
        "sys.exit('connection refused' if int(port) and os.environ['AT'].startswith('127.0.0.1:') else 'wrong')"
    )
    environment = {"PORT": "{port.one}", "SAME": "{port.one}", "OTHER": "{port.two}", "KEY": "{llm.api_key}"}
    probe = ServiceProbe({**environment, "AT": "{temporal.address}"}, "", 1, arguments=("{home}",))
    trial_of(tmp_path, source, probe).without_temporal()


LISTEN = "import os, socket\nserver = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
ALONE = ServiceProbe({"PORT": "{port.web}"}, "", 1, port="web", temporal=False)


@pytest.mark.parametrize(
    ("source", "probe"),
    [
        (LISTEN + WAIT.format(code=0) + "signal.pause()", ALONE),
        (WAIT.format(code=0) + READY + "signal.pause()", replace(ALONE, ready=PROBE.ready)),
    ],
    ids=["ready by port", "ready by text"],
)
def test_a_service_that_needs_no_temporal_is_probed_without_it(
    tmp_path: Path, source: str, probe: ServiceProbe
) -> None:
    service = make_program(tmp_path / "service", source)
    home = tmp_path / "home"
    try_service(service, FreezeTable(), probe, temporal=None, home=home, env=ENV)


def test_only_a_service_without_temporal_may_die_of_sigterm_and_none_may_exit_early(
    tmp_path: Path,
) -> None:
    trial = trial_of(tmp_path, LISTEN + "import signal\nsignal.pause()", ALONE)
    trial.start_and_stop()
    with pytest.raises(GateError, match="exit code -15"):
        replace(trial, probe=replace(ALONE, temporal=True)).start_and_stop()
    with pytest.raises(GateError, match="ended with exit code 0") as refused:
        trial_of(tmp_path, "pass", ALONE).start_and_stop()
    assert "it is tested without the others" in refused.value.remedy


def test_a_service_that_needs_temporal_is_refused_if_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="needs Temporal") as refused:
        try_service(tmp_path, FreezeTable(), PROBE, temporal=None, home=tmp_path / "home", env=ENV)
    assert "readiness is of the kind temporal" in refused.value.remedy


def test_a_crash_of_the_interpreter_while_it_finalises_counts_as_a_stop(tmp_path: Path) -> None:
    """Occasionally a thread of Temporal's SDK outlives the program and aborts it with SIGABRT, frozen or not."""
    report = "print('Fatal Python error: PyGILState_Release\\nPython runtime state: finalizing', flush=True)\n"
    source = "import os, signal\ndef stop(*_):\n    " + report + "    os.abort()\n"
    source += "signal.signal(signal.SIGTERM, stop)\n" + READY + "signal.pause()"
    trial_of(tmp_path, source).start_and_stop()
    with pytest.raises(GateError, match="exit code -6"):
        trial_of(tmp_path, source.replace("finalizing", "initialized")).start_and_stop()


def test_the_error_about_an_excluded_module_names_the_file_that_excludes_it() -> None:
    """The remedy is the exact line to add to the manifest."""
    settings = FreezeSettings(FreezeTable(excludes=("tkinter", "unittest", "pytest")), {"excludes": "runner.spec"})
    error = GateError("it failed\n  | ModuleNotFoundError: No module named 'unittest.mock'")
    explained = explain_excludes(error, settings)
    assert "unittest is missing because runner.spec lists it in excludes" in str(explained)
    assert "freeze: {excludes: [tkinter, pytest]}" in explained.remedy
    other = GateError("No module named 'unit'")
    assert explain_excludes(other, settings) is other

"""A frozen service must fail for want of Temporal, not of a module; and with Temporal, work and stop."""

from pathlib import Path

import pytest

from stigmer_packaging.errors import GateError
from stigmer_packaging.tools.probes import (
    ServiceProbe,
    check_failure,
    classify_failure,
    probe_selftest,
    probe_with_temporal,
    probe_without_temporal,
)
from stigmer_packaging.tools.temporal import temporal_server
from support.freeze_workshop import ENV, FAKE_TEMPORAL, PROBE, SAMPLES, make_program

STARTUP = SAMPLES / "startup"
REFUSED = (STARTUP / "connection-refused.txt").read_text(encoding="utf-8")

CONNECT = "import os, socket\nhost, port = os.environ['TEMPORAL_SERVICE_ADDRESS'].split(':')\n"
WAIT = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))\n"
READY = "print('Worker ready', flush=True)\n"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ("connection-refused", "connection"),
        ("configuration", "other"),
        ("multipart-trap", "import"),
        ("module-not-frozen", "import"),
        ("library-not-bundled", "import"),
    ],
)
def test_real_failures_are_told_apart(sample: str, reason: str) -> None:
    """Each is what a real frozen program printed."""
    assert classify_failure((STARTUP / f"{sample}.txt").read_text(encoding="utf-8")) == reason


def test_something_missing_counts_even_when_the_connection_was_tried() -> None:
    """A service may catch an ImportError and go on, until somebody needs it."""
    assert classify_failure("ImportError: no daytona\n" + REFUSED) == "import"


def test_a_component_may_say_how_it_words_a_failed_connection() -> None:
    """The rules are the component's."""
    assert classify_failure("nobody home", (r"nobody\s+home",)) == "connection"
    assert classify_failure(REFUSED, (r"nobody\s+home",)) == "other"


@pytest.mark.parametrize(
    ("code", "output", "why"),
    [(1, "ImportError: x", "missing in the bundle"), (0, REFUSED, "exit code 0"), (1, "no key", "not for that")],
)
def test_every_other_end_is_refused_with_its_reason(code: int, output: str, why: str) -> None:
    """The reason and the last lines are in the message."""
    with pytest.raises(GateError, match=why) as refused:
        check_failure(code, output)
    assert output.splitlines()[-1] in str(refused.value)


def test_a_service_that_cannot_connect_passes(tmp_path: Path) -> None:
    """It got as far as the connection."""
    service = make_program(tmp_path / "service", CONNECT + "socket.create_connection((host, int(port)))")
    probe_without_temporal(service, PROBE, folder=tmp_path, env=ENV)


def test_a_service_that_lacks_a_module_is_refused(tmp_path: Path) -> None:
    """It never got that far."""
    service = make_program(tmp_path / "service", "import no_such_module")
    with pytest.raises(GateError, match="no_such_module"):
        probe_without_temporal(service, PROBE, folder=tmp_path, env=ENV)


def test_a_service_that_never_gives_up_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract has it fail; we would wait for ever."""
    monkeypatch.setattr("stigmer_packaging.tools.probes.SECONDS", 0.5)
    service = make_program(tmp_path / "service", "import time\ntime.sleep(60)")
    with pytest.raises(GateError, match="does not give up"):
        probe_without_temporal(service, PROBE, folder=tmp_path, env=ENV)


def test_a_service_sees_its_own_settings_and_nothing_of_ours(tmp_path: Path) -> None:
    """A `.env`, a home or a PYTHONPATH of the build host must not help it."""
    source = "import os, sys\nsys.exit(f\"{sorted(os.environ)} {os.environ['HOME']} connection refused\")"
    service = make_program(tmp_path / "service", source)
    with pytest.raises(GateError) as refused:
        probe_without_temporal(
            service,
            ServiceProbe({"MODE": "local"}, "", 1, connection=("never",)),
            folder=tmp_path,
            env={**ENV, "PYTHONPATH": "x"},
        )
    assert "PYTHONPATH" not in str(refused.value)
    assert f"{tmp_path} connection refused" in str(refused.value)
    assert "'MODE'" in str(refused.value)


def test_a_service_that_gets_ready_and_stops_passes(tmp_path: Path) -> None:
    """The whole way, with something that listens where Temporal would."""
    temporal = make_program(tmp_path / "temporal", FAKE_TEMPORAL)
    source = (
        CONNECT
        + WAIT.format(code=0)
        + "link = socket.create_connection((host, int(port)))\n"
        + READY
        + "signal.pause()"
    )
    service = make_program(tmp_path / "service", source)
    with temporal_server(temporal, folder=tmp_path, env=ENV) as address:
        probe_with_temporal(service, PROBE, address=address, folder=tmp_path, env=ENV)


@pytest.mark.parametrize(
    ("source", "why"),
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
def test_a_service_that_does_not_work_with_temporal_is_refused(tmp_path: Path, source: str, why: str) -> None:
    """Not ready, not stopping, not stopping well, or with something missing on the way."""
    service = make_program(tmp_path / "service", source)
    quick = ServiceProbe(PROBE.environment, PROBE.ready, grace=1)
    with pytest.raises(GateError, match=why):
        probe_with_temporal(service, quick, address="127.0.0.1:9", folder=tmp_path, env=ENV)


def test_a_failed_selftest_is_refused_with_what_it_said(tmp_path: Path) -> None:
    """Its arguments are handed on."""
    service = make_program(
        tmp_path / "service", "import sys\nsys.exit(0 if sys.argv[1:] == ['--good'] else 'the graph answered 41')"
    )
    probe_selftest(service, ("--good",), folder=tmp_path, env=ENV)
    with pytest.raises(GateError, match="the graph answered 41"):
        probe_selftest(service, ("--bad",), folder=tmp_path, env=ENV)

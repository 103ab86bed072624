"""A launch is prepared and checked before anything starts."""

import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from stigmer_launcher.errors import ConfigError, KegError, PortError
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.launch.prepare import prepare
from stigmer_launcher.system.ports import require_free
from stigmer_launcher.system.process import RUN_TOKEN
from support.launcher_payloads import Part, build_libexec, launcher_environment, part
from support.launcher_services import fake_stack, free_ports


def prepared(
    tmp_path: Path,
    *parts: Part,
    ports: Mapping[str, int] = {},
    kept: Mapping[str, int] = {},
    environ: Mapping[str, str] = {},
) -> Launch:
    libexec = build_libexec(tmp_path / "keg", parts or fake_stack())
    environment = {**launcher_environment(libexec, tmp_path / "home"), **environ}
    launch, _ = prepare(environment, ports, kept, lambda _: None)
    return launch


def test_a_launch_has_the_command_and_the_proofs_of_every_service(tmp_path: Path) -> None:
    server, temporal = free_ports(2)
    launch = prepared(tmp_path, ports={"server": server, "temporal": temporal})
    ours, theirs = f"127.0.0.1:{server}", f"127.0.0.1:{temporal}"
    proofs = [(proof.kind, proof.address) for proof in launch.services["stigmer-server"].proofs]
    assert proofs == [("grpc", ours), ("pollers", theirs)]
    (polling,), (serving,) = launch.services["agent-runner"].proofs, launch.services["temporal"].proofs
    assert polling.address == serving.address == theirs
    assert polling.queues == ("agent_execution_runner",)
    assert serving.queues == ("workflow_execution_stigmer",)
    assert Path(launch.services["temporal"].command[0]).is_absolute()
    assert launch.services["temporal"].command[2] == f"port={temporal}"


def test_requested_ports_override_kept_ones_and_unknown_kept_ones_are_ignored(tmp_path: Path) -> None:
    server, temporal, other = free_ports(3)
    launch = prepared(tmp_path, ports={"server": server}, kept={"server": other, "temporal": temporal, "gone": 7999})
    assert launch.ports == launch.asked_ports == {"server": server, "temporal": temporal}


def test_every_service_gets_the_token_of_its_run(tmp_path: Path) -> None:
    first, second = prepared(tmp_path), prepared(tmp_path)
    assert first.token != second.token
    assert {service.environment[RUN_TOKEN] for service in first.services.values()} == {first.token}


@pytest.mark.parametrize(("environ", "user"), [({}, pwd.getpwuid(os.geteuid()).pw_name), ({"USER": "ada"}, "ada")])
def test_all_services_get_a_user(tmp_path: Path, environ: Mapping[str, str], user: str) -> None:
    """A container has no USER, and /etc/passwd may lack the user; Temporal does not start without either."""
    services = prepared(tmp_path, environ=environ).services.values()
    assert {service.environment["USER"] for service in services} == {user}


ACCOUNT = pwd.getpwuid(os.geteuid())


@pytest.mark.parametrize(
    ("uid", "environ", "user", "home"),
    [
        (ACCOUNT.pw_uid, {}, ACCOUNT.pw_name, ACCOUNT.pw_dir),
        (ACCOUNT.pw_uid, {"HOME": "", "USER": ""}, ACCOUNT.pw_name, ACCOUNT.pw_dir),
        (54321, {}, "54321", ""),
        (54321, {"HOME": "", "USER": ""}, "54321", ""),
        (54321, {"HOME": "relative", "USER": "ada"}, "ada", ""),
    ],
)
def test_services_get_a_user_and_a_home_if_the_environment_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, environ: Mapping[str, str], user: str, home: str
) -> None:
    """Temporal itself reads only /etc/passwd, and does not start if neither has them; Stigmer's home is a last resort."""
    base = dict(launcher_environment(build_libexec(tmp_path / "keg", fake_stack()), tmp_path / "home"))
    del base["HOME"]
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    launch, _ = prepare({**base, **environ}, {}, {}, lambda _: None)
    environment = launch.services["temporal"].environment
    assert (environment["USER"], environment["HOME"]) == (user, home or str(tmp_path / "home"))


def test_a_preparation_creates_config_yaml_and_the_directories_that_services_write_to(tmp_path: Path) -> None:
    """Temporal opens a file in a directory that must exist."""
    service = part(
        "one",
        arguments=("--db", "{home}/deep/er/one.db", "{home}ish/not-ours/x"),
        environment=(("STORE", "{home}/store/file"), ("DATABASE", "{home.relative}/data#/one.db")),
        ports=(("server", free_ports(1)[0]),),
    )
    prepared(tmp_path, service)
    home = tmp_path / "home"
    assert all((home / name).is_dir() for name in ("deep/er", "store", "data#", "logs"))
    assert "provider: ollama" in (home / "config.yaml").read_text(encoding="utf-8")
    assert not (tmp_path / "homeish").exists()


def test_a_search_path_that_begins_in_the_home_creates_no_directory(tmp_path: Path) -> None:
    """Services get the user's PATH, which is not a file: the directory `bin:/usr` was once created."""
    home = tmp_path / "home"
    launch = prepared(tmp_path, environ={"PATH": f"{home}/bin:/usr/bin:/bin"})
    assert launch.services["temporal"].environment["PATH"] == f"{home}/bin:/usr/bin:/bin"
    assert not [path.name for path in home.iterdir() if path.name.startswith("bin:")]


def test_an_external_temporal_replaces_the_bundled_one(tmp_path: Path) -> None:
    """Its ports are not checked, and its namespace may be another one."""
    launch = prepared(tmp_path, environ={"TEMPORAL_SERVICE_ADDRESS": "[::1]:9999", "TEMPORAL_NAMESPACE": "theirs"})
    temporal, server, *runners = launch.services.values()
    assert not temporal.plan.managed
    assert server.plan.managed
    proofs = [*temporal.proofs, *server.proofs[1:], *(proof for runner in runners for proof in runner.proofs)]
    assert server.proofs[0].address == f"127.0.0.1:{launch.ports['server']}"
    assert {proof.address for proof in proofs} == {"[::1]:9999"}
    assert {proof.namespace for proof in proofs} == {"theirs"}
    assert list(launch.ports) == ["server"]


def test_an_external_temporal_depends_on_no_service(tmp_path: Path) -> None:
    """It could not be restarted after one of them. The bundled one depends on what the manifest says."""
    temporal, *others = fake_stack()
    database = part("database")
    needy = temporal._replace(component=temporal.component._replace(needs=("database",)))
    for environ, needs in (({}, ("database",)), ({"TEMPORAL_SERVICE_ADDRESS": "[::1]:9999"}, ())):
        launch = prepared(tmp_path, database, needy, *others, environ=environ)
        assert launch.services["temporal"].plan.needs == needs


def test_the_namespace_variable_applies_only_to_an_external_temporal(tmp_path: Path) -> None:
    """The bundled Temporal has the default namespace only: no other is ever created in it."""
    launch = prepared(tmp_path, environ={"TEMPORAL_NAMESPACE": "prod.x"})
    assert {proof.namespace for service in launch.services.values() for proof in service.proofs} == {"default"}


def test_a_taken_port_is_refused_before_anything_is_created(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        with pytest.raises(PortError, match=rf"port {port} \(server\) is taken by .* \(process \d+\)") as caught:
            prepared(tmp_path, ports={"server": port})
        assert "--port server=NUMBER" in caught.value.remedy
        assert not (tmp_path / "home").exists()
    require_free({"server": port})


@pytest.mark.parametrize(
    ("environ", "error", "text"),
    [
        ({"STIGMER_TEMPORAL_BIN": "/nonexistent/temporal"}, ConfigError, "does not exist"),
        ({"STIGMER_PAYLOAD": "/nonexistent"}, KegError, "/nonexistent"),
    ],
)
def test_a_missing_program_or_keg_is_refused(
    tmp_path: Path, environ: dict[str, str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        prepared(tmp_path, environ=environ)
    assert not (tmp_path / "home").exists()

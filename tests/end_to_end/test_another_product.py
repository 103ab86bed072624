"""A product of two small services: from its manifest alone to a bottle that is poured, started, called and stopped.

Takes about forty seconds. The launcher is frozen with this machine's Python.
"""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_packaging.cli import main as cli
from support.launcher_services import free_ports

SAMPLE = Path(__file__).parents[1] / "samples" / "two-services"
PORTS = ("17301", "17302")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("go"), reason="there is no Go on PATH"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the product up to formula and single file, with our own ports; return the workspace."""
    folder = tmp_path_factory.mktemp("greetings")
    text = (SAMPLE / "manifest.yaml").read_text(encoding="utf-8")
    for port, free in zip(PORTS, free_ports(len(PORTS)), strict=True):
        text = text.replace(port, str(free))
    (folder / "manifest.yaml").write_text(text, encoding="utf-8")
    words = [
        f"--manifest={folder / 'manifest.yaml'}",
        f"--checkout={SAMPLE / 'tree'}",
        f"--workspace={folder / 'build'}",
    ]
    assert cli.run(["formula", *words, "--python=host"]) == 0
    assert cli.run(["standalone", *words, "--python=host"]) == 0
    return folder / "build"


@pytest.fixture
def poured(built: Path, tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Unpack the bottle as brew does; yield the command with its own environment, and stop the server at the end."""
    (bottle,) = (built / "dist").glob("greetings-0.3.0.*.bottle.tar.gz")
    with tarfile.open(bottle) as archive:
        archive.extractall(tmp_path)  # noqa: S202 - this test made the archive
    command = tmp_path / "greetings" / "0.3.0" / "bin" / "greetings"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GREETINGS_HOME": str(tmp_path / "home")}
    yield command, env
    subprocess.run([command, "server", "stop"], env=env, capture_output=True, check=False)


def test_it_starts_its_services_lets_one_call_the_other_and_stops_them(poured: tuple[Path, dict[str, str]]) -> None:
    command, env = poured

    def ask(*words: str) -> str:
        done = subprocess.run([command, *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert ask("--version") == "greetings 0.3.0\n"
    ask("config", "set", "ports.clock", ask("config", "get", "ports.clock").strip())
    assert "(external)" not in ask("server")
    assert not {"Temporal", "Model"} & {*ask("doctor").splitlines()}
    assert "hello, it is 2" in ask("smoke")
    state = json.loads(ask("server", "status", "--json"))
    assert [(service["name"], service["state"]) for service in state["services"]] == [
        ("clock", "running"),
        ("greeter", "running"),
    ]
    ask("server", "stop")
    assert subprocess.run([command, "server", "status"], env=env, capture_output=True, check=False).returncode == 3


def test_texts_for_users_name_the_product_and_not_stigmer(built: Path, poured: tuple[Path, dict[str, str]]) -> None:
    command, env = poured
    help_text = subprocess.run([command, "--help"], env=env, capture_output=True, text=True, check=True).stdout
    completions = [path.read_text() for path in (command.parents[1] / "etc" / "bash_completion.d").iterdir()]
    assert help_text.startswith("greetings - say hello, and when\n")
    assert "_BIN" not in help_text
    assert (command.parents[1] / "libexec" / "help.txt").read_text(encoding="utf-8") == help_text
    for text in (help_text, *completions):
        assert "greetings server" in text or "complete" in text
        assert "stigmer" not in text.replace("stigmer-server", "")
    formula = (built / "dist" / "Formula" / "greetings.rb").read_text(encoding="utf-8")
    assert "class Greetings < Formula" in formula
    assert "https://github.com/example/homebrew-greetings/releases/download/v0.3.0" in formula
    assert not (command.parents[1] / "README.md").exists()


def test_its_single_file_unpacks_itself_into_the_products_own_home(built: Path, tmp_path: Path) -> None:
    """Its launcher then finds the files there; Stigmer's home belongs to another product."""
    (program,) = (path for path in (built / "dist").glob("greetings-0.3.0-linux-*") if path.suffix != ".gz")
    environment = {"HOME": os.fspath(tmp_path), "PATH": os.defpath}
    done = subprocess.run(
        [program, "version"], env=environment, check=False, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "greetings 0.3.0"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".greetings"]
    assert len([path for path in (tmp_path / ".greetings" / "dist").iterdir() if path.is_dir()]) == 1

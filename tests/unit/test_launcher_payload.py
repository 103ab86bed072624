"""The payload index survives a round trip, and a damaged one is refused."""

import json
from pathlib import Path

import pytest

from stigmer_launcher.errors import KegError
from stigmer_launcher.install.payload import (
    Liveness,
    Payload,
    Restart,
    Smoke,
    files_of,
    parse_payload,
    read_keg,
)
from stigmer_packaging.bottle.index import render_index
from support.launcher_payloads import build_libexec, part, stigmer_parts


def example() -> Payload:
    """Return a payload that sets every kind of value."""
    one = part(
        "one", ports=(("server", 1),), needs=("two",), environment=(("A", "{home}"),), arguments=("x",)
    ).component
    smoke = Smoke("command", 1.5, component="one", arguments=("try", "{home}"), exit_code=3, output="x+")
    two = part("two", liveness=Liveness(1.5, 0.5, 7)).component
    return Payload("stigmer", "1.0", "linux-amd64", ("HOME",), smoke, (one, two), Restart(1, 2, 3, 4))


INDEX = render_index(example())


def test_an_index_survives_a_round_trip() -> None:
    assert parse_payload(INDEX) == example()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"format": 1}', INDEX[:-40], INDEX.replace("readiness", "r")]
)
def test_a_damaged_index_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs and does not matter
        parse_payload(text)


@pytest.mark.parametrize("number", [2, 4, None])
def test_an_index_of_another_format_is_refused(number: int | None) -> None:
    with pytest.raises(ValueError, match="not a payload index of format 3"):
        parse_payload(json.dumps({**json.loads(INDEX), "format": number}))


@pytest.mark.parametrize("name", ["smoke", "components", "inherit", "target", "restart"])
def test_an_index_without_one_of_its_keys_is_refused(name: str) -> None:
    plain = json.loads(INDEX)
    del plain[name]
    with pytest.raises(ValueError, match="incomplete"):
        parse_payload(json.dumps(plain))


@pytest.mark.parametrize("name", ["files", "readiness", "liveness", "ports", "grace"])
def test_a_component_without_one_of_its_keys_is_refused(name: str) -> None:
    plain = json.loads(INDEX)
    del plain["components"][1][name]
    with pytest.raises(ValueError, match="incomplete"):
        parse_payload(json.dumps(plain))


@pytest.mark.parametrize(
    "damage", [{"unknown": 1}, {"files": [["path", 1]]}, {"files": 1}, {"needs": None}, {"readiness": []}]
)
def test_a_component_with_an_unknown_key_or_a_value_of_a_wrong_type_is_refused(damage: dict[str, object]) -> None:
    plain = json.loads(INDEX)
    plain["components"][0] |= damage
    with pytest.raises(ValueError, match="incomplete"):
        parse_payload(json.dumps(plain))


def test_a_keg_is_identified_by_its_version_and_its_index(tmp_path: Path) -> None:
    keg = read_keg(str(build_libexec(tmp_path / "a", version="1.2.3")))
    same = read_keg(str(build_libexec(tmp_path / "b", version="1.2.3")))
    other = read_keg(str(build_libexec(tmp_path / "c", stigmer_parts(temporal="exit 1"), version="1.2.3")))
    assert keg.id.startswith("1.2.3-")
    assert len(keg.id) == len("1.2.3-") + 12
    assert keg.id == same.id
    assert keg.id != other.id


def test_a_missing_or_damaged_index_is_reported_with_the_command_that_repairs_it(tmp_path: Path) -> None:
    with pytest.raises(KegError, match=r"cannot read .*payload\.json: No such file") as caught:
        read_keg(str(tmp_path))
    assert "brew reinstall stigmer" in caught.value.remedy
    for content in (b"", b"\xff", b"{}", b"[" * 100_000):
        (tmp_path / "payload.json").write_bytes(content)
        with pytest.raises(KegError, match=r"payload\.json is damaged"):
            read_keg(str(tmp_path))


def test_a_file_that_two_components_share_is_listed_once() -> None:
    one, two = part("one", extra={"shared": b"x"}).component, part("two", extra={"shared": b"x"}).component
    payload = example()._replace(components=(one, two))
    assert [entry.path for entry in files_of(payload)] == ["one", "shared", "two"]

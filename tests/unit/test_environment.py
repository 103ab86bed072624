"""What a build may see of the environment we were called with, and where caches go."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.environment import build_environment, cache_root


def test_what_could_change_a_result_stays_out() -> None:
    given = {"PATH": "/bin", "HOME": "/home/me", "PYTHONPATH": "x", "GOFLAGS": "-x", "CFLAGS": "-O0", "SECRET": "s"}
    seen = build_environment(given)
    assert {name: seen.get(name) for name in given} == {**dict.fromkeys(given), "PATH": "/bin", "HOME": "/home/me"}


def test_what_leads_to_registries_and_caches_goes_in() -> None:
    given = {"HTTPS_PROXY": "p", "GOPROXY": "g", "PIP_INDEX_URL": "i", "SSL_CERT_FILE": "c", "PIP_TARGET": "elsewhere"}
    seen = build_environment(given)
    assert {name for name in given if name in seen} == set(given) - {"PIP_TARGET"}


def test_language_and_hash_seed_are_the_same_everywhere() -> None:
    assert build_environment({"LC_ALL": "tr_TR", "PYTHONHASHSEED": "random"}) == build_environment({})


@pytest.mark.parametrize(
    ("named", "expected"), [("/x", "/x"), ("", "/home/me/.cache"), ("relative", "/home/me/.cache")]
)
def test_the_cache_is_where_the_specification_says(named: str, expected: str) -> None:
    assert cache_root({"XDG_CACHE_HOME": named}, Path("/home/me")) == Path(expected) / "stigmer-packaging"

"""Which variables of the caller's environment a build sees, and where the cache is."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.environment import build_environment, cache_root


def test_variables_that_could_change_a_result_are_removed() -> None:
    caller = {"PATH": "/bin", "HOME": "/home/me", "PYTHONPATH": "x", "GOFLAGS": "-x", "CFLAGS": "-O0", "SECRET": "s"}
    env = build_environment(caller)
    assert {name: env.get(name) for name in caller} == {**dict.fromkeys(caller), "PATH": "/bin", "HOME": "/home/me"}


def test_variables_for_proxies_registries_and_certificates_are_kept() -> None:
    caller = {"HTTPS_PROXY": "p", "GOPROXY": "g", "PIP_INDEX_URL": "i", "SSL_CERT_FILE": "c", "PIP_TARGET": "elsewhere"}
    env = build_environment(caller)
    assert {name for name in caller if name in env} == set(caller) - {"PIP_TARGET"}


def test_locale_and_hash_seed_do_not_depend_on_the_caller() -> None:
    assert build_environment({"LC_ALL": "tr_TR", "PYTHONHASHSEED": "random"}) == build_environment({})


@pytest.mark.parametrize(
    ("configured", "expected"), [("/x", "/x"), ("", "/home/me/.cache"), ("relative", "/home/me/.cache")]
)
def test_the_cache_is_where_the_xdg_specification_says(configured: str, expected: str) -> None:
    assert cache_root({"XDG_CACHE_HOME": configured}, Path("/home/me")) == Path(expected) / "stigmer-packaging"

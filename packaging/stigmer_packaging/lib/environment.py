"""The part of our own environment that the programs we start may see, and the location of caches."""

from collections.abc import Mapping
from pathlib import Path

# What a build needs to find programs, its caches and the package registries. Variables that could change a result
# without being in a record (PYTHONPATH, GOFLAGS, CFLAGS, a virtual environment) are left out.
PASSED = frozenset({
    "HOME", "PATH", "TMPDIR", "USER", "LOGNAME", "XDG_CACHE_HOME", "DEVELOPER_DIR", "SDKROOT",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NETRC",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE",
})  # fmt: skip
PASSED_PREFIXES = ("PIP_", "PYENV_")
REFUSED = frozenset({"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS", "PIP_PRE"})


def build_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a build, with a fixed locale and hash seed, so that equal inputs give equal bytes."""
    kept = {name: value for name, value in environ.items() if name in PASSED or name.startswith(PASSED_PREFIXES)}
    for name in REFUSED:
        kept.pop(name, None)
    return kept | {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def cache_root(environ: Mapping[str, str], home: Path) -> Path:
    """Return the cache folder that all checkouts share. Source: the XDG base directory specification."""
    configured = environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if configured.startswith("/") else home / ".cache"
    return base / "stigmer-packaging"

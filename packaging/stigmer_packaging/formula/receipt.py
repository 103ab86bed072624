"""INSTALL_RECEIPT.json, which brew reads when it pours a bottle.

Source: Homebrew's `Tab`. Two fields decide whether our binaries stay unchanged: `homebrew_version`, which must be
5.1.15 or newer for `:any_skip_relocation` to be honoured on Linux, and `changed_files`, the text files whose
placeholders are replaced: only the service definition. `built_on` describes what the bottle needs, not where it was
packed: brew installs its own glibc if the system's is older, and the bytes are the same from any machine.
"""

import json
from typing import Any

from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Product, TargetSpec
from stigmer_packaging.manifest.naming import service_path

HOMEBREW_VERSION = "6.0.18"
"""The version of brew whose bottle format we follow."""

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}
_OLDEST_CPU = {"amd64": "core2", "arm64": "armv8"}


def tap_name(product: Product) -> str:
    """Return the name by which users tap it: `stigmer/homebrew-tap` is `stigmer/tap`."""
    owner, _, repository = product.tap_repository.partition("/")
    return f"{owner}/{repository.removeprefix('homebrew-')}"


def render_receipt(product: Product, target: Target, promised: TargetSpec, *, source_date_epoch: int) -> str:
    """Return the receipt as JSON text. Its times are `source_date_epoch`, in seconds since 1970."""
    tap = tap_name(product)
    owner, _, name = tap.partition("/")
    path = f"@@HOMEBREW_REPOSITORY@@/Library/Taps/{owner}/homebrew-{name}/Formula/{product.name}.rb"
    receipt = {
        "homebrew_version": HOMEBREW_VERSION,
        "used_options": [],
        "unused_options": [],
        "built_as_bottle": True,
        "poured_from_bottle": False,
        "loaded_from_api": False,
        "installed_on_request": True,
        "changed_files": [service_path(product.name, target)],
        "time": source_date_epoch,
        "source_modified_time": source_date_epoch,
        "compiler": "clang",
        "aliases": [],
        "runtime_dependencies": [],
        "arch": _ARCHITECTURES[target.architecture],
        "source": {
            "spec": "stable",
            "versions": {"stable": product.version, "head": None, "version_scheme": 0},
            "path": path,
            "tap_git_head": None,
            "tap": tap,
        },
        "built_on": _built_on(target, promised),
    }
    return json.dumps(receipt, indent=2) + "\n"


def _built_on(target: Target, promised: TargetSpec) -> dict[str, Any]:
    cpu = _ARCHITECTURES[target.architecture]
    if target.system == "darwin":
        return {"os": "Macintosh", "os_version": f"macOS {promised.macos_minimum.partition('.')[0]}", "cpu_family": cpu}
    return {
        "os": "Linux",
        "os_version": f"glibc {promised.glibc_floor}",
        "cpu_family": cpu,
        "glibc_version": promised.glibc_floor,
        "oldest_cpu_family": _OLDEST_CPU[target.architecture],
    }

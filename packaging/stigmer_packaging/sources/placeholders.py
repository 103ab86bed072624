"""Fills in placeholders in the environment and arguments of a service under test: home, ports, addresses."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stigmer_packaging.lib.loopback import free_port

BRACES = re.compile(r"\{([^{}]*)\}")
PORT = re.compile(r"\{(port\.[^{}]*)\}")


def fill(text: str, values: Mapping[str, object]) -> str:
    """Replace the placeholders in a text; those without a value are removed."""
    return BRACES.sub(lambda match: str(values.get(match[1], "")), text)


def fill_environment(templates: Mapping[str, str], home: Path) -> dict[str, str]:
    """Fill in an environment for a program that must not get as far as Temporal; unknown placeholders become `none`."""
    values = placeholder_values(home, unused_address(), free_ports(templates.values()))
    return {name: BRACES.sub(lambda match: str(values.get(match[1], "none")), text) for name, text in templates.items()}


def free_ports(texts: Iterable[str]) -> dict[str, int]:
    """Return a free port for each port placeholder in the texts."""
    return {name: free_port() for name in sorted({name for text in texts for name in PORT.findall(text)})}


def placeholder_values(home: Path, address: str, ports: Mapping[str, int]) -> dict[str, object]:
    """Return the value of each placeholder."""
    return {"home": home, "home.relative": ".", "temporal.address": address, **ports}


def unused_address() -> str:
    """Return an address of this machine at which nothing listens."""
    return f"127.0.0.1:{free_port()}"

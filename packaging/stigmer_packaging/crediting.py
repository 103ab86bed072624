"""What the credit stage is told of a workshop: how Go's modules are asked for, and what a bundle was frozen from."""

from collections.abc import Callable, Sequence

from stigmer_packaging.freeze.foreign import ForeignEnvironment, TreePackages
from stigmer_packaging.naming import Target
from stigmer_packaging.stages import freeze
from stigmer_packaging.stages.credit import Environment
from stigmer_packaging.tools import golang, gomodules
from stigmer_packaging.tools.buildinfo import BuildInfo
from stigmer_packaging.tools.licences import Credit
from stigmer_packaging.tools.native import InstalledPackages, Packages
from stigmer_packaging.tools.service_source import ServiceSource
from stigmer_packaging.workshop import Workshop


def credits_by_go(shop: Workshop) -> Callable[[BuildInfo], Sequence[Credit]]:
    """Give what names the modules of a Go program; the Go that builds fetches what it has not kept from building."""
    cache, report = shop.workspace.cache, shop.report
    env = {"GOMODCACHE": str(golang.module_cache(shop.tree.path, cache)), **shop.env}

    def credit(info: BuildInfo) -> Sequence[Credit]:
        program = golang.provide_go(shop.go, shop.manifest.go, shop.host, cache, env=env, report=report)
        return gomodules.credit_go(info, program=program, cache=cache, env=env, report=report)

    return credit


def environment_of(shop: Workshop, target: Target, source: ServiceSource | None) -> Environment:
    """Give what a project was frozen from for a target, or without a project the launcher."""
    pins, owners = (source.pins, source.table.owners) if source else ((), {})
    made = freeze.provide(pins, shop.freezer_of(target), owners)
    packages: Packages = InstalledPackages(shop.env)
    if isinstance(made, ForeignEnvironment):
        packages = TreePackages(made.tree, made.runtime)
    return Environment(made.site, frozenset(pin.name for pin in pins), made.interpreter, packages)

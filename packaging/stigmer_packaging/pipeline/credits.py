"""What the credit stage is told of a release: how Go's modules are asked for, and what a bundle was frozen from."""

from collections.abc import Callable, Sequence

from stigmer_packaging.binaries.buildinfo import BuildInfo
from stigmer_packaging.freeze import stage as freeze
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing import gomodules
from stigmer_packaging.licensing.licences import Credit
from stigmer_packaging.licensing.native import InstalledPackages
from stigmer_packaging.licensing.stage import Environment
from stigmer_packaging.pipeline.context import BuildContext
from stigmer_packaging.sources import golang
from stigmer_packaging.sources.service_source import ServiceSource


def credits_by_go(context: BuildContext) -> Callable[[BuildInfo], Sequence[Credit]]:
    """Give what names the modules of a Go program; the Go that builds fetches what it has not kept from building."""
    cache, report = context.workspace.cache, context.report
    env = {"GOMODCACHE": str(golang.module_cache(context.tree.path, cache)), **context.env}

    def credit(info: BuildInfo) -> Sequence[Credit]:
        program = golang.provide_go(context.go, context.manifest.go, context.host, cache, env=env, report=report)
        return gomodules.credit_go(info, program=program, cache=cache, env=env, report=report)

    return credit


def environment_of(context: BuildContext, target: Target, source: ServiceSource | None) -> Environment:
    """Give what a project was frozen from for a target, or without a project the launcher."""
    pins, owners = (source.pins, source.table.owners) if source else ((), {})
    made = freeze.provide(pins, context.freezer_of(target), owners)
    packages = made.packages or InstalledPackages(context.env)
    return Environment(made.site, frozenset(pin.name for pin in pins), made.interpreter, packages)

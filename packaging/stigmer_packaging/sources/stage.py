"""Obtain a component that is one executable: built, or fetched, and made for its target."""

from collections.abc import Mapping

from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Component
from stigmer_packaging.records.model import BuiltPart
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources import Source, contract, executable


def obtain_component(
    component: Component,
    target: Target,
    source: Source,
    *,
    workspace: Workspace,
    env: Mapping[str, str] | None = None,
) -> BuiltPart:
    """Obtain a component's executable for one target.

    The executable has the component's name. SourceError when the source gives another platform's executable, GateError
    when, where it can run (`env` is what programs here may see), it does not ask for what it needs.
    """
    record = f"obtain/{target}/{component.name}"
    with workspace.staging() as staged:
        folder = staged / component.name
        folder.mkdir()
        source.fetch(folder / component.name)
        executable.refuse_foreign(folder / component.name, target)
        if env is not None and component.required:
            sent, home = component.run.environment, staged / "home"
            home.mkdir()
            contract.check_refusals(folder / component.name, sent, component.required, folder=home, env=env)
        facts = {"version": component.version, "target": str(target), "entry": component.name}
        return workspace.add_part(folder, record, component=component.name, **facts)

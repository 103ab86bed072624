"""What takes minutes to freeze, stood in for: the records of a frozen launcher and runner, with real signed code from Go.

FakeFrozen parts hold the shapes that an audit looks at (a program, a library beside it, a module that needs it), and
never run.
"""

from pathlib import Path

from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import CheckoutSource, Manifest
from stigmer_packaging.pipeline.plan import is_frozen
from stigmer_packaging.records.model import Credits, Ingredient, ServiceBinary
from stigmer_packaging.records.workspace import Workspace, scan_files
from stigmer_packaging.sources.locks import parse_lock
from support.audit_bottles import frozen_files


def offer_frozen_parts(manifest: Manifest, target: Target, workspace: Workspace, root: Path) -> None:
    """Write the records of frozen parts, as FakeFrozen, into a workspace.

    They credit what the lock of each part in the checkout `root` names, as a real freeze does.
    """
    product = manifest.product
    record = f"freeze/{target}/launcher"
    _fake_frozen(workspace.path(record), product.name, "lib", target)
    files = scan_files(workspace.path(record))
    launcher = ServiceBinary("launcher", product.version, str(target), record, product.name, files)
    workspace.write_record(record, launcher)
    _credit("launcher", product.version, target, (), workspace)
    for part in filter(is_frozen, manifest.components):
        assert isinstance(part.source, CheckoutSource)
        record = f"freeze/{target}/{part.name}"
        _fake_frozen(workspace.path(record), part.name, f"{part.name}.lib", target)
        files = scan_files(workspace.path(record))
        service = ServiceBinary(part.name, part.version, str(target), record, part.name, files)
        workspace.write_record(record, service)
        lock = (root / manifest.checkout / part.source.package / "requirements.lock").read_text(encoding="utf-8")
        pins = tuple((pin.name, pin.version) for pin in parse_lock(lock))
        _credit(part.name, part.version, target, pins, workspace)


def _credit(part: str, version: str, target: Target, pins: tuple[tuple[str, str], ...], workspace: Workspace) -> None:
    made_of = tuple(Ingredient(name, pinned, "MIT", f"pkg:pypi/{name}@{pinned}", ("mit",)) for name, pinned in pins)
    python = Ingredient("cpython", "3.13.0", "Python-2.0", "pkg:generic/cpython@3.13.0", ("mit",))
    named = tuple(sorted((*made_of, python), key=lambda each: each.name))
    credited = Credits(part, version, "Apache-2.0", str(target), named, {"mit": "MIT\n"})
    workspace.write_record(f"credit/{target}/{part}", credited)


def _fake_frozen(folder: Path, program: str, contents: str, target: Target) -> None:
    for path, content in frozen_files(target, program, contents).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o644 if path.endswith(".zip") else 0o755)

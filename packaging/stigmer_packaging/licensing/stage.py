"""The credit stage: records the ingredients of every part with their licences, and writes the SBOM of a keg."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stigmer_packaging.binaries.buildinfo import read_build_info
from stigmer_packaging.lib.distributions import read_distributions
from stigmer_packaging.lib.interpreter import Interpreter
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.licences import Credit, CreditGo, credits_of
from stigmer_packaging.licensing.native import Packages, credit_native
from stigmer_packaging.licensing.pylicences import credit_python
from stigmer_packaging.licensing.spdx import render_sbom
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.records.model import BuiltPart, Credits, ReleaseFile
from stigmer_packaging.records.workspace import Workspace


@dataclass(frozen=True)
class Environment:
    """The environment of a frozen bundle: site-packages, its locked names, the Python, and its system's packages."""

    site: Path
    locked: Collection[str]
    python: Interpreter
    packages: Packages


def credit_program(part: BuiltPart, licence: str, credit_go: CreditGo, *, workspace: Workspace) -> Credits:
    """Record the ingredients of a single executable: the modules of a Go program, none for any other."""
    info = read_build_info(workspace.path(f"{part.root}/{part.entry}").read_bytes())
    found = credit_go(info) if info else ()
    return _record(part, licence, found, workspace)


def credit_bundle(part: BuiltPart, licence: str, environment: Environment, *, workspace: Workspace) -> Credits:
    """Record the ingredients of a frozen bundle: the distributions of its lock, Python, and its native libraries.

    Raise GateError if it contains an unknown library.
    """
    installed = read_distributions(environment.site)
    owned = {PurePosixPath(file).name for distribution in installed for file in distribution.files}
    files = [file.path for file in part.files]
    native = credit_native(files, owned=owned, python=environment.python, packages=environment.packages)
    return _record(part, licence, (*credit_python(environment.site, environment.locked), *native), workspace)


def write_sbom(
    product: Product,
    target: Target,
    tag: str,
    credited: Sequence[Credits],
    *,
    source_date_epoch: int,
    workspace: Workspace,
) -> ReleaseFile:
    """Write the SBOM of a keg, named after its bottle and dated `source_date_epoch`, in seconds since 1970."""
    text = render_sbom(product, str(target), credited, source_date_epoch=source_date_epoch)
    path = f"dist/{product.name}-{product.version}.{tag}.sbom.spdx.json"
    with workspace.staging() as staging:
        (staging / "sbom").write_text(text, encoding="utf-8")
        facts = {"name": product.name, "version": product.version, "target": str(target)}
        return workspace.add_file(staging / "sbom", f"sbom/{target}", kind="sbom", path=path, **facts)


def _record(part: BuiltPart, licence: str, found: Sequence[Credit], workspace: Workspace) -> Credits:
    record = credits_of(part.component, part.version, licence, part.target, found, part.omitted)
    workspace.write_record(f"credit/{part.target}/{part.component}", record)
    return record

"""All checks of an audit, in the order in which their findings are told."""

from stigmer_packaging.audit import (
    index,
    layout,
    licences,
    linkage,
    links,
    loader,
    metadata,
    platforms,
    receipt,
    scripts,
    secrets,
    signatures,
    traces,
    variables,
    weight,
)
from stigmer_packaging.audit.check import Check

CHECKS: tuple[Check, ...] = (
    *layout.CHECKS,
    *metadata.CHECKS,
    *links.CHECKS,
    *receipt.CHECKS,
    *platforms.CHECKS,
    *signatures.CHECKS,
    *linkage.CHECKS,
    *loader.CHECKS,
    *index.CHECKS,
    *secrets.CHECKS,
    *traces.CHECKS,
    *scripts.CHECKS,
    *variables.CHECKS,
    *weight.CHECKS,
    *licences.CHECKS,
)

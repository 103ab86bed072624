"""All checks of an audit, in the order in which their findings are told."""

from stigmer_packaging.audit import (
    index,
    layout,
    licences,
    links,
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
from stigmer_packaging.audit.loader import linkage, simulation

CHECKS: tuple[Check, ...] = (
    *layout.CHECKS,
    *metadata.CHECKS,
    *links.CHECKS,
    *receipt.CHECKS,
    *platforms.CHECKS,
    *signatures.CHECKS,
    *linkage.CHECKS,
    *simulation.CHECKS,
    *index.CHECKS,
    *secrets.CHECKS,
    *traces.CHECKS,
    *scripts.CHECKS,
    *variables.CHECKS,
    *weight.CHECKS,
    *licences.CHECKS,
)

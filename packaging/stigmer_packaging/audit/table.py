"""All checks of an audit, in the order in which their findings are told."""

from stigmer_packaging.audit import (
    index,
    layout,
    licences,
    metadata,
    platforms,
    receipt,
    secrets,
    traces,
    variables,
    weight,
)
from stigmer_packaging.audit.check import Check
from stigmer_packaging.audit.loader import simulation

_FAMILIES = (
    layout,
    metadata,
    receipt,
    platforms,
    simulation,
    index,
    secrets,
    traces,
    variables,
    weight,
    licences,
)
CHECKS = tuple(each for family in _FAMILIES for each in vars(family).values() if isinstance(each, Check))

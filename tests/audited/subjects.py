"""How a function that the audit is tried on is given to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tried:
    """A loss, and what a person says of it."""

    name: str
    target: Any  # what is audited
    kind: str
    keywords: Mapping[str, Any] = field(default_factory=dict)  # for `audit`: parts of the convention
    checks: tuple[str, ...] = ()  # any of these is the right one to find its defect; a sound loss has none


NUMPY, TORCH = {"framework": "numpy"}, {"framework": "torch"}
PROBABILITY, LABELS, ROWS = {"input": "prediction"}, {"target": "labels"}, {"target": "distributions"}

"""What is known of a function: how it is called, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from importlib import import_module
from typing import Any

Names = frozenset[str]


def names(text: str) -> Names:
    """The names in a text, which commas divide.

    >>> sorted(names("mean, sum"))
    ['mean', 'sum']
    """
    return frozenset(part.strip() for part in text.split(",") if part.strip())


@dataclass(frozen=True)
class Reading:
    """The right way of calling a function, part by part; a part has several names where several are right."""

    kind: Names
    target: Names
    input: Names = frozenset({"raw"})
    order: str = "prediction, target"  # "either" where the two are alike
    reduction: Names = frozenset({"none"})
    sign: int = 1
    shapes: str = "(N,) and (N,)"  # of predictions and targets, for a person

    def wrong_parts(self, called: Any) -> list[str]:
        """The parts in which a call differs from this one, in words; `called` is the audit's `Convention`."""
        found = []
        for part in fields(self):
            right = getattr(self, part.name)
            if part.name == "shapes" or right == "either":
                continue
            got = getattr(called, part.name)
            if got not in (right if isinstance(right, frozenset) else (right,)):
                found.append(f"{part.name} is {got!r}, not {_listed(right)}")
        return found


def _listed(right: Any) -> str:
    return " or ".join(sorted(map(repr, right))) if isinstance(right, frozenset) else repr(right)


@dataclass(frozen=True)
class Wrong:
    """Something that is wrong with a function: an error of one of these checks is true."""

    checks: Names
    what: str
    evidence: str  # a Python expression over fn, np, torch, tensor and slope that is True where the defect is there
    told: bool = False  # an audit found it first; it was not written down before


@dataclass(frozen=True)
class Case:
    """A function of a library. reading: None where there is no reading as rows of a prediction and a target, and `why` says why."""

    library: str  # its distribution's name
    name: str  # module:attribute
    reading: Reading | None
    arguments: Mapping[str, Any] = field(default_factory=dict)  # held fixed; of a class, those that it is made with
    method: str = ""  # of an instance
    why: str = ""
    wrong: tuple[Wrong, ...] = ()
    whole: bool = False  # of a whole batch: it may be judged as one

    @property
    def title(self) -> str:
        """As a person would write it."""
        given = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return self.name.partition(":")[2] + (f"({given})" if given else "") + (f".{self.method}" if self.method else "")

    def target(self) -> Any:
        """What is audited; importing the library is left to here."""
        module, _, path = self.name.partition(":")
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        if isinstance(found, type):
            found = found(**self.arguments)
        elif self.arguments:
            found = partial(found, **self.arguments)
        return getattr(found, self.method) if self.method else found

    def shown(self, wrong: Wrong) -> bool:
        """Whether the evidence for something wrong holds here."""
        import numpy as np
        import torch

        def slope(loss: Any, x: Any) -> Any:
            z = x.detach().clone().requires_grad_(True)
            return torch.autograd.grad(loss(z).sum(), z)[0]

        return bool(eval(wrong.evidence, {"fn": self.target(), "np": np, "torch": torch, "tensor": torch.tensor, "slope": slope}))

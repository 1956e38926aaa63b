"""How a loop's text is marked, and the types of its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType
from typing import ClassVar

from matchloss.engine.values import SUMS


def inlined(function: FunctionType) -> FunctionType:
    """Marks the text of a loop, or of a part of one; matchloss.engine.tracer says what it may do."""
    function.text_flags = ""  # pyright: ignore[reportFunctionMemberAccess]
    return function


def summing(function: FunctionType) -> FunctionType:
    """The same for a part whose sums may be reordered, without which they do not vectorise."""
    function.text_flags = SUMS  # pyright: ignore[reportFunctionMemberAccess]
    return function


@dataclass(frozen=True)
class Reads:
    """An array that a loop reads: NumPy's name of its type, its dimensions, and whether its entries lie together in C order.

    The other arguments of a loop are "float64", "int64", "bool", None for None, and tuples of these.
    """

    dtype: str
    dimensions: int = 1
    together: bool = True
    writable: ClassVar[bool] = False


@dataclass(frozen=True)
class Writes(Reads):
    """An array that a loop writes."""

    writable: ClassVar[bool] = True

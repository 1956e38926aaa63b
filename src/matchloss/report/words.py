"""Numbers, formulas and scores as people write them, for every page."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matchloss.losses import Loss, TargetKind
    from matchloss.tables.scores import Score

LETTERS = {"alpha": "α", "delta": "δ", "gamma": "γ", "mu": "μ", "phi": "φ", "Phi": "Φ", "pi": "π", "sum": "Σ", "sqrt": "√"}
_SYMBOL = rf"(?<![A-Za-z])({'|'.join(LETTERS)})(?![A-Za-z])|[<>]=|\^[234](?![\d.])|\^-?z\b|(?<=\))\+"
SYMBOLS = LETTERS | {">=": "≥", "<=": "≤", "^2": "²", "^3": "³", "^4": "⁴", "^z": "ᶻ", "^-z": "⁻ᶻ", "+": "₊"}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def minus(text: str) -> str:
    """Hyphens that are minus signs, as minus signs."""
    return re.sub(r"(?<![\w])-(?=\d)", "−", text)


def formula(text: str) -> str:
    """A formula in ASCII with the letters and signs that it stands for."""
    named = re.sub(_SYMBOL, lambda m: SYMBOLS[m[0]], text)
    return re.sub(r"(?<!\w)-|(?<=\w)-(?=\w)(?<!e-)", "−", named)


def count(n: int, one: str, many: str = "") -> str:
    """A number and its noun."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def number(x: float, digits: int = 4, signed: bool = False) -> str:
    """A number of any size: `digits` significant ones, and a power of ten where many zeros would stand.

    >>> number(-0.00012345), number(1234567.0, 3), number(2.5e-11), number(0.5, signed=True), number(float("nan"))
    ('−1.234 × 10⁻⁴', '1.23 × 10⁶', '2.500 × 10⁻¹¹', '+0.5000', 'not a number')
    """
    if math.isnan(x):
        return "not a number"
    if math.isinf(x):
        return "−infinite" if x < 0 else "infinite"
    if x == 0:
        return "0"
    mark = "+" if signed and x > 0 else ""
    head, power = f"{x:.{digits - 1}e}".split("e")
    if -4 < int(power) < 6:
        return mark + f"{x:,.{max(digits - 1 - int(power), 0)}f}".replace("-", "−")
    return f"{mark}{head.replace('-', '−')} × {power_of_ten(int(power))}"


def power_of_ten(k: int) -> str:
    """A power of ten as people write it."""
    return f"10{str(k).translate(_RAISED)}"


def column(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers that stand below one another: as many decimals each, `digits` significant ones for the largest.

    >>> column([0.02, 0.5, float("inf")]), column([-7.0, 1234.5])
    (['0.0200', '0.5000', 'infinite'], ['−7', '1,234'])
    """
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    power = math.floor(math.log10(largest)) if largest else 0
    if not -4 < power < 6:
        return [number(v, digits) for v in values]
    places = max(digits - 1 - power, 0)
    return [f"{v:,.{places}f}".replace("-", "−") if math.isfinite(v) else number(v) for v in values]


def percent(share: float) -> str:
    """A share in percent: one decimal, and no 0 or 100 that is not one."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def kind(kind: TargetKind, classes: int) -> str:
    """What the target is."""
    if kind in ("binary", "multiclass"):
        return f"a label with {count(classes, 'class', 'classes')}"
    return "a count" if kind == "count" else "a number"


def parameters(loss: Loss) -> str:
    """The parameters of a loss, as its formula writes them; empty if it has none."""
    return ", ".join(f"{formula(k)} = {v:.4g}" for k, v in loss.parameters.items())


def column_digits(scores: Sequence[Score | None]) -> int:
    """Decimals for a column: four significant digits for its least score, at most six."""
    finite = [abs(s.value) for s in scores if s is not None and math.isfinite(s.value) and s.value != 0]
    return min(max(3 - math.floor(math.log10(min(finite))), 0), 6) if finite else 4


def score_text(score: Score | None, digits: int) -> str:
    """A mean score, or in plain words why there is none."""
    if score is None:
        return "–"
    if math.isinf(score.value):
        return f"inf ({count(score.infinite, 'row')} had probability 0)" if score.infinite else "inf"
    if math.isnan(score.value):
        return "not a number"
    return f"{score.value:.3e}" if abs(score.value) >= 1e7 else minus(f"{score.value:,.{digits}f}")


def score_name(score: str) -> str:
    """The name of a score where no table of scores stands around it."""
    return f"{score} score" if score in ("log", "Brier", "spherical") else score

"""What boosters call as metrics, in the shapes of their hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.calls import silence
from matchloss.audit.calling.objectives import LIGHTGBM, NotOne, rows_of

Array = NDArray[Any]
STEP = 1e-4


@dataclass(frozen=True)
class Metric:
    """A metric of raw predictions; (preds, data), (target, preds), or CatBoost's object with `evaluate`."""

    fn: Any
    host: str = ""

    def value(self, raw: Array, target: Array) -> float:
        """Of all rows, less being better."""
        with silence():
            if hasattr(self.fn, "evaluate"):
                fn = self.fn() if isinstance(self.fn, type) else self.fn
                error, weight = fn.evaluate([raw] if raw.ndim == 1 else list(raw.T), target, None)
                value = fn.get_final_error(error, weight) if hasattr(fn, "get_final_error") else error / weight
                return float(-value if fn.is_max_optimal() else value)
            shaped = np.asfortranarray(raw) if self.host == LIGHTGBM and raw.ndim == 2 else raw
            try:
                out = self.fn(shaped, rows_of(target, None))
            except Exception:
                out = self.fn(target, shaped)
        parts = [part for part in out if not isinstance(part, str)] if isinstance(out, tuple | list) else [out]
        better = -1.0 if len(parts) > 1 and bool(parts[1]) else 1.0  # LightGBM's third: whether more is better
        return better * float(parts[0])

    def slopes(self, raw: Array, target: Array) -> Array:
        """The slope of the metric in each prediction, by differences. NotOne where it cannot be called."""
        try:
            moved = np.empty_like(raw)
            for place in np.ndindex(raw.shape):
                up, down = raw.copy(), raw.copy()
                up[place] += STEP
                down[place] -= STEP
                moved[place] = (self.value(up, target) - self.value(down, target)) / (2 * STEP)
            return moved
        except Exception as error:
            raise NotOne(f"the metric cannot be called as (preds, data) or (target, preds): {type(error).__name__}: {error}") from error

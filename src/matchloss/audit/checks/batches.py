"""Checks of losses of a whole batch, under the names of those of losses of rows: what carries over to functions whose rows depend on
each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from matchloss.audit.calling.batches import SAME, SHAPES, Batch
from matchloss.audit.checks import structures
from matchloss.audit.checks._check import Skip
from matchloss.audit.checks.structures import found
from matchloss.audit.finding import Finding

DRAWS = 3
STEPS = (1e-2, 1e-3, 1e-4, 1e-5)  # one of them is right: a long one where a function computes in float32, a short one beside a kink
LOOSE = 2e-3


def finite(b: Batch) -> Iterator[Finding]:
    """Values and gradients are finite for predictions of size 1 and 40, and for a batch in which all targets are of one class."""
    yield from structures.finite(b)
    if SHAPES[b.shape][2] == "numbers" or b.sign < 0:  # a score may be of nothing there, such as a correlation
        return
    given = b.given(b.draw(ties=True))
    slope = b.gradient(given) if b.framework.differentiable else np.zeros(1)
    if not (np.isfinite(value := b.value(given)) and np.isfinite(slope).all()):
        what = "gradient" if np.isfinite(value) else "value"
        yield found(b, f"where all targets are of class 0, as in an empty mask, the {what} is not finite", given)


def gradient(b: Batch) -> Iterator[Finding]:
    """The gradient is the slope of the value along each of some directions."""
    if not b.framework.differentiable:
        raise Skip("it has no gradient")
    for i in range(DRAWS):
        batch = b.draw(seed=i)[0]
        given, raw = b.given([batch]), batch["raw"]
        way = np.cos(1.0 + i + np.arange(raw.size)).reshape(raw.shape)
        got, slopes = float((b.gradient(given) * way).sum()), []
        for step in STEPS:
            up, down = (b.value(b.given([{**batch, "raw": raw + k * step * way}])) for k in (1, -1))
            slopes.append((up - down) / (2 * step))
        if all(abs(got - right) > LOOSE * (abs(got) + abs(right)) + 1e-7 for right in slopes):
            message = f"along a direction the gradient is {got:.4g}, and the value's slope {slopes[-1]:.4g}: training follows another loss"
            yield found(b, message, given, got=got, right=slopes[-1])
            return


def invariance(b: Batch) -> Iterator[Finding]:
    """The order of the examples of a batch does not matter."""
    for i in range(1, 1 + DRAWS):
        batch = b.draw(seed=i)[0]
        one, two = b.given([batch]), b.given([{role: x[::-1].copy() for role, x in batch.items()}])
        if not np.isclose(first := b.value(one), second := b.value(two), rtol=SAME):
            yield found(b, f"the order of the examples changes the value from {first:.6g} to {second:.6g}", two, got=second, right=first)
            return


def purity(b: Batch) -> Iterator[Finding]:
    """The value is the same the second time, and a call changes neither its arguments nor what else is in the process."""
    given = b.given(b.draw())
    before, arrays = b.framework.state(), b.arrays(given)
    kept = {name: b.framework.numbers(x).copy() for name, x in arrays.items()}
    b.run(lambda: b.callee.call(**arrays))
    for name in (n for n, x in arrays.items() if not np.array_equal(b.framework.numbers(x), kept[n])):
        yield found(b, f"it writes to {name}: the next step sees other numbers", given)
    after = b.framework.state()
    for name in (n for n in before if before[n] != after[n]):
        yield found(b, f"a call changes {name}", given)
    values = [b.value(given) for _ in range(DRAWS)]
    if len(set(values)) > 1:
        yield found(b, f"the same arguments have the values {values[0]:.6g} and {values[-1]:.6g}", given)


def dtype(b: Batch) -> Iterator[Finding]:
    """In float32 the value is that of float64, but for its digits."""
    given = b.given(b.draw())
    wide, narrow = b.value(given), b.value(given, "float32")
    if not np.isclose(wide, narrow, rtol=1e-3, atol=1e-4):
        yield found(b, f"in float32 the value is {narrow:.6g}, in float64 {wide:.6g}", given, got=narrow, right=wide)


CHECKS: dict[str, Callable[[Batch], Iterator[Finding]]] = {check.__name__: check for check in (finite, gradient, invariance, purity, dtype)}

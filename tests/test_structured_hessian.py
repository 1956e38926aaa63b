"""Products with hessians of losses of structures: against differences of the exact gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from matchloss.losses.structured import CTC, Choice, ChoiceSets, Cox, OrderedLogit, OrderedProbit, RiskSets

STEP = 1e-6


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("late", [False, True])
def test_of_cox(ties: str, late: bool) -> None:
    rng = np.random.default_rng(0)
    n = 40
    time, event = rng.integers(1, 9, n).astype(float), rng.integers(0, 2, n)
    strata, weight = rng.integers(0, 3, n), rng.integers(0, 4, n) / 2
    entry = time - rng.integers(1, 5, n) if late else None
    loss, risk, z, u = Cox(ties), RiskSets(time, event, entry, strata, weight), 2 * rng.normal(size=n), rng.normal(size=n)
    found = loss.hessian_product(z, risk, u)
    wanted = (loss.gradient(z + STEP * u, risk) - loss.gradient(z - STEP * u, risk)) / (2 * STEP)
    assert np.allclose(found, wanted, atol=1e-8 * np.abs(wanted).max()) and abs(found.sum()) < 1e-13 * np.abs(found).sum()
    whole = np.array([loss.hessian_product(z, risk, e) for e in np.eye(n)])
    assert np.allclose(whole, whole.T, atol=1e-14) and np.allclose(np.diag(whole), loss.hessian(z, risk), atol=1e-13)
    assert np.linalg.eigvalsh(whole)[0] > -1e-12
    assert np.allclose(loss.hessian_product(z, risk, strata == 1), 0, atol=1e-13)  # a stratum's scores may all move together


def test_of_choices_and_ordered_labels() -> None:
    rng = np.random.default_rng(1)
    v, u, sets = rng.normal(size=9), rng.normal(size=9), ChoiceSets([0, 3, 5, 6, 9], [1, 0, 0, 0, 1, 1, 0, 0, 1])
    wanted = (Choice().gradient(v + STEP * u, sets) - Choice().gradient(v - STEP * u, sets)) / (2 * STEP)
    assert np.allclose(Choice().hessian_product(v, sets, u), wanted, atol=1e-9)
    for loss in (OrderedLogit(), OrderedProbit()):
        eta, cuts, y = rng.normal(size=12), np.array([-1.0, 0.2, 0.9]), rng.integers(0, 4, 12)
        a, b = rng.normal(size=12), rng.normal(size=3)
        more, less = (loss.gradient((eta + s * a, cuts + s * b), y) for s in (STEP, -STEP))
        for mine, up, down in zip(loss.hessian_product((eta, cuts), y, (a, b)), more, less, strict=True):
            assert np.allclose(mine, (up - down) / (2 * STEP), atol=1e-8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Choice().hessian_product(np.zeros(3), ChoiceSets([0, 3], [1, 1, 0]), np.zeros(3)), NotImplementedError, "set 0: several"),
        (lambda: Choice().hessian_product(np.zeros(2), ChoiceSets([0, 2], [1, 0]), np.zeros(3)), ValueError, "v has shape"),
        (lambda: OrderedLogit().hessian_product(([0.0], [0.0]), [0], ([1.0], [1.0, 2.0])), ValueError, "v's thresholds has shape"),
        (lambda: CTC().hessian_product(None, None, None), NotImplementedError, "CTC has no hessian_product"),
    ],
)  # fmt: skip
def test_what_has_none_says_so(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

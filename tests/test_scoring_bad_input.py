"""What scores and recalibration refuse, over all of them: words they do not know, levels, shapes, values; one label of K classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from matchloss import scoring
from matchloss.errors import DomainError, ShapeError

OBS, FCT = np.array([3.0, 1.0, 2.0]), np.array([0.1, 0.3, 0.2])
OF_CLASSES = (scoring.log_score, scoring.brier_score, scoring.spherical_score, scoring.pseudo_spherical_score, scoring.power_score)
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a word": ({"functional": "mode"}, DomainError, "functional is 'mode'; allowed: mean, median, quantile, expectile"),
    "a level above 1": ({"functional": "quantile", "level": 1.5}, DomainError, "level is 1.5"),
    "a level of 1": ({"functional": "expectile", "level": 1}, DomainError, "level is 1"),
    "a level that is no number": ({"functional": "quantile", "level": np.nan}, DomainError, "level is nan"),
    "levels": ({"functional": "quantile", "level": [0.1, 0.9]}, DomainError, r"level is \[0.1, 0.9\]"),
    "no level": ({"functional": "quantile", "level": None}, DomainError, "level is None"),
    "a target that is not finite": ({"obs": [1.0, np.nan, 2.0]}, DomainError, r"obs\[1\] is nan"),
    "a matrix": ({"obs": OBS[:, None], "fct": FCT[:, None]}, ShapeError, "obs has shape"),
    "no rows": ({"obs": [], "fct": []}, ShapeError, "obs has shape"),
    "words for numbers": ({"obs": ["a", "b", "c"]}, TypeError, "obs has dtype"),
    "a weight below 0": ({"weight": [1, -1, 1]}, DomainError, r"weight\[1\] is -1"),
    "weights of another length": ({"weight": [1.0, 1.0]}, ShapeError, "weight has shape"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("function", ["best_constant", "recalibrate"])
def test_wrong_input_is_named(function: str, case: str) -> None:
    change, error, message = WRONG[case]
    given = {"functional": "mean", "obs": OBS, "fct": FCT} | change
    if function == "best_constant":
        del given["fct"]
    with pytest.raises(error, match=message):
        getattr(scoring, function)(**given)


@pytest.mark.parametrize("fct", [FCT[:2], [0.1, np.inf, 0.2]])
def test_forecasts_that_do_not_fit_are_refused(fct: Any) -> None:
    with pytest.raises((ShapeError, DomainError), match="fct"):
        scoring.recalibrate("mean", OBS, fct)


def test_the_median_is_the_quantile_at_one_half_and_lists_are_arrays() -> None:
    values = np.random.default_rng(1).lognormal(size=31)
    weight = np.random.default_rng(2).integers(0, 4, 31)
    assert scoring.best_constant("median", values.tolist()) == pytest.approx(np.median(values), rel=1e-15)
    assert scoring.best_constant("median", values, weight) == pytest.approx(np.median(np.repeat(values, weight)), rel=1e-15)
    by_median, by_quantile = (scoring.recalibrate(of, values, values[::-1]).rows for of in ("median", "quantile"))
    np.testing.assert_array_equal(by_median, by_quantile)


@pytest.mark.parametrize("score", [*OF_CLASSES, scoring.rps_score], ids=lambda score: score.__name__)
def test_one_label_and_one_forecast_are_one_row(score: Any) -> None:
    fct = np.array([0.2, 0.5, 0.3])
    for label in (0, 2, np.int64(1), np.array(1)):
        assert score(label, fct) == score([int(label)], fct[None])[0]
    assert np.ndim(score(2, fct)) == 0 and isinstance(score(2, fct.tolist(), reduction="mean"), float)
    with pytest.raises(DomainError, match="obs is 3"):
        score(3, fct)
    with pytest.raises(TypeError, match="labels are integers"):
        score(1.0, fct)
    np.testing.assert_array_equal(score([1, 0, 1], fct), [score(1, p) if y else score(0, p) for y, p in zip([1, 0, 1], fct, strict=True)])
    assert np.shape(score([1, 0, 1], 0.4)) == (3,)


def test_one_label_and_one_forecast_of_torch_are_one_row() -> None:
    torch = pytest.importorskip("torch")
    fct = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    for score in (*OF_CLASSES, scoring.rps_score):
        assert float(score(torch.tensor(1), fct)) == pytest.approx(score(1, fct.numpy()), rel=1e-14)

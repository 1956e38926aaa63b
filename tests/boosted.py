"""Real tables for tests of boosted trees, small and read once."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

from matchloss.losses import Loss

Table = tuple[NDArray[Any], NDArray[Any]]


@cache
def diabetes() -> Table:
    """442 patients, ten measurements; a positive number."""
    return load_diabetes(return_X_y=True)  # pyright: ignore[reportReturnType]


@cache
def tumours() -> Table:
    """569 tumours, thirty measurements; two classes."""
    return load_breast_cancer(return_X_y=True)  # pyright: ignore[reportReturnType]


@cache
def digits() -> Table:
    """400 digits of 64 pixels; ten classes."""
    X, y = load_digits(return_X_y=True)
    return X[:400], y[:400]


@cache
def wines() -> Table:
    """178 wines, thirteen measurements; three classes. Unlike pixels, no two columns split the rows alike, so that no split is a tie."""
    return load_wine(return_X_y=True)  # pyright: ignore[reportReturnType]


def table(loss: Loss) -> Table:
    """A table whose target the loss takes."""
    if loss.family == "simplex":
        return digits()
    if {"binary", "multiclass"}.intersection(loss.suits) and loss.target_domain.high == 1:
        return tumours()
    X, y = diabetes()
    return X, y / 100  # of size 1, as losses with a parameter in the target's units expect


def weights(n: int) -> NDArray[np.float64]:
    """Whole numbers 1 to 3, so that a row can be repeated instead."""
    return np.random.default_rng(0).integers(1, 4, n).astype(float)


def without_us(code: str, folder: Path) -> None:
    """Runs a host's code in another process and folder, which must not import matchloss."""
    code = f"import sys\n{code}\nassert not any(name.startswith('matchloss') for name in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

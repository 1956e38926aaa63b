"""A small network that reads digits of one dimension, in JAX, under any loss of the catalogue.

The data are made as those of MNIST-1D are (Greydanus and Kobak, 2020): ten templates, each shifted, stretched, made louder or quieter,
and buried in smooth and rough noise. Run it: python examples/mnist1d_jax.py [loss ...]
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import matchloss as ml
from matchloss.jax import loss, predict

TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)
LENGTH = 40


def digits(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Signals (rows, 40) and their digits."""
    r = np.random.default_rng(seed)
    label = r.integers(0, 10, rows)
    signal = np.zeros((rows, LENGTH))
    for i, shape in enumerate(TEMPLATES[label] - 5):
        width = r.integers(16, 28)
        stretched = np.interp(np.linspace(0, 11, width), np.arange(12), shape) * r.uniform(0.6, 1.4)
        start = r.integers(0, LENGTH - width + 1)
        signal[i, start : start + width] = stretched
    smooth = np.apply_along_axis(np.convolve, 1, r.normal(size=(rows, LENGTH)), np.ones(5) / 5, mode="same")
    return (signal + 0.4 * smooth + 0.1 * r.normal(size=(rows, LENGTH))).astype(np.float32), label


def start(key: Any, sizes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """Weights and biases of the layers."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [(jax.random.normal(k, (m, n)) * np.sqrt(2 / m), jnp.zeros(n)) for k, m, n in zip(keys, sizes, sizes[1:], strict=False)]


def network(layers: list[tuple[Any, Any]], x: Any) -> Any:
    """Raw predictions, one a digit."""
    for w, b in layers[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = layers[-1]
    return x @ w + b


@partial(jax.jit, static_argnums=0)
def step(of: ml.Loss, layers: Any, speed: Any, x: Any, y: Any, rate: Any) -> tuple[Any, Any, Any]:
    """One step of gradient descent with momentum."""
    value, slope = jax.value_and_grad(lambda layers: loss(of, network(layers, x), y).mean())(layers)
    speed = jax.tree.map(lambda s, g: 0.9 * s - rate * g, speed, slope)
    return jax.tree.map(jnp.add, layers, speed), speed, value


def train(of: ml.Loss, rows: int = 4000, epochs: int = 20, batch: int = 100) -> tuple[float, float]:
    """The part of new digits that the network reads right, and how sure it was of itself on average."""
    x, y = digits(rows, seed=1)
    layers = start(jax.random.key(0), (LENGTH, 100, 100, 10))
    speed = jax.tree.map(jnp.zeros_like, layers)
    r = np.random.default_rng(2)
    steps = epochs * (rows // batch)
    for i in range(steps):
        rate = 0.03 * (1 - i / steps)
        chosen = r.integers(0, rows, batch)
        layers, speed, _ = step(of, layers, speed, x[chosen], y[chosen], rate)
    x, y = digits(2000, seed=3)
    p = predict(of, network(layers, x))
    return float((p.argmax(axis=-1) == y).mean()), float(p.max(axis=-1).mean())


if __name__ == "__main__":
    for name in sys.argv[1:] or ["cross_entropy", "sparsemax", "entmax", "softmax_brier"]:
        right, sure = train(ml.get(name))
        print(f"{name:20} right {100 * right:5.1f} %   sure {100 * sure:5.1f} %")

"""Worst errors by loss, output and dtype against mpmath at 60 digits, beside scikit-learn, PyTorch and optax: writes ACCURACY.md.

Run: python benchmarks/accuracy.py. The rows are those of the tests (tests/cases.py), over the whole range of finite raw predictions;
the unit is an eps of the contract's scale (tests/references.py), the same for every library.
"""

from __future__ import annotations

import importlib
import platform
import sys
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from cases import POINTWISE, SIMPLEX, hard, label, logits, row_targets, rows  # noqa: E402
from references import pointwise_at  # noqa: E402
from test_accuracy import compiled, error  # noqa: E402
from test_row_accuracy import SHAPES, errors  # noqa: E402
from test_row_accuracy import allowed as allowed_rows  # noqa: E402
from test_row_accuracy import compiled as compiled_rows  # noqa: E402

Worst = list[float]
Peer = Callable[[Any, Any], tuple[Any, ...]]


def sklearn_peers() -> dict[str, Peer]:
    loss = importlib.import_module("sklearn._loss.loss")

    def of(made: Any) -> Peer:
        def call(raw: Any, target: Any) -> tuple[Any, ...]:
            y, z = np.ascontiguousarray(target), np.ascontiguousarray(raw)
            value, gradient = made.loss_gradient(y, z)
            return value, gradient, made.gradient_hessian(y, z)[1]

        return call

    return {
        "squared_error": of(loss.HalfSquaredError()), "absolute_error": of(loss.AbsoluteError()),
        "pinball-0.5": of(loss.PinballLoss(quantile=0.5)), "huber-1": of(loss.HuberLoss(delta=1.0)),
        "poisson": of(loss.HalfPoissonLoss()), "gamma": of(loss.HalfGammaLoss()),
        "tweedie-1.5": of(loss.HalfTweedieLoss(power=1.5)), "inverse_gaussian": of(loss.HalfTweedieLoss(power=3.0)),
        "logistic": of(loss.HalfBinomialLoss()), "exponential": of(loss.ExponentialLoss()),
    }  # fmt: skip


def torch_peers() -> dict[str, Peer]:
    torch = importlib.import_module("torch")
    f = torch.nn.functional

    def of(function: Any, factor: float = 1.0) -> Peer:
        def call(raw: Any, target: Any) -> tuple[Any, ...]:
            z = torch.tensor(raw, requires_grad=True)
            value = factor * function(z, torch.tensor(target))
            value.sum().backward()
            return value.detach().numpy(), z.grad.numpy()

        return call

    none: dict[str, Any] = {"reduction": "none"}
    return {
        "squared_error": of(lambda z, y: f.mse_loss(z, y, **none), 0.5), "absolute_error": of(lambda z, y: f.l1_loss(z, y, **none)),
        "huber-1": of(lambda z, y: f.huber_loss(z, y, **none)),
        "poisson": of(lambda z, y: f.poisson_nll_loss(z, y, log_input=True, **none)),
        "logistic": of(lambda z, y: f.binary_cross_entropy_with_logits(z, y, **none)),
        "cross_entropy": of(lambda z, y: f.cross_entropy(z, y, **none)),
    }  # fmt: skip


def optax_peers() -> dict[str, Peer]:
    jax, optax = importlib.import_module("jax"), importlib.import_module("optax")
    jax.config.update("jax_enable_x64", True)

    def of(function: Any) -> Peer:
        slope = jax.jit(jax.grad(lambda z, y: function(z, y).sum()))

        def call(raw: Any, target: Any) -> tuple[Any, ...]:
            z, y = jax.numpy.asarray(raw), jax.numpy.asarray(target)
            return np.asarray(function(z, y)), np.asarray(slope(z, y))

        return call

    def cross_entropy(z: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(z, y) if y.ndim < z.ndim else optax.softmax_cross_entropy(z, y)

    return {
        "squared_error": of(optax.l2_loss), "huber-1": of(lambda z, y: optax.huber_loss(z, y, delta=1.0)), "log_cosh": of(optax.log_cosh),
        "logistic": of(optax.sigmoid_binary_cross_entropy), "focal-2": of(lambda z, y: optax.sigmoid_focal_loss(z, y, gamma=2.0)),
        "cross_entropy": of(cross_entropy),
    }  # fmt: skip


def worst_pointwise(loss: Any, dtype: Any, call: Peer) -> Worst:
    raw, target = rows(loss, dtype, size=40)
    worst = [0.0, 0.0, 0.0]
    outputs = [np.asarray(o) for o in call(raw, target)]
    for i, (z, y) in enumerate(zip(raw.tolist(), target.tolist(), strict=True)):
        exact = pointwise_at(loss, z, y)
        relative = loss.matching and loss.smooth and hard(loss, y)
        for j, array in enumerate(outputs):
            worst[j] = max(worst[j], error(array[i], exact[j], dtype, relative))
    return worst[: len(outputs)]


def worst_rows(loss: Any, dtype: Any, call: Peer) -> Worst:
    worst = {"value": 0.0, "gradient": 0.0, "hessian": 0.0}
    for k, n in SHAPES.items():
        if k > 10 and allowed_rows(loss) == 32:
            continue
        raw = logits(loss, k, n, dtype)
        labels, t = row_targets(k, n, dtype)
        corners = (labels[:, None] == np.arange(k)).astype(dtype)
        for target, exact, at_label in ((labels, corners, True), (t, t, False)):
            got = [np.asarray(o) for o in call(raw, target)]
            given = got if len(got) == 3 else [*got, np.zeros_like(raw)]
            for e, what in errors(loss, given, raw, exact, at_label, dtype):
                name = what.split()[0]
                worst[name] = max(worst[name], e)
            count = len(got)
    return list(worst.values())[:count]


def shown(worst: Worst | None) -> list[str]:
    """Three cells."""
    cells = ["wrong" if x == np.inf else f"{x:.1f}" if x < 1e3 else f"{x:.0e}" for x in worst or []]
    return cells + [""] * (3 - len(cells))


def main() -> None:
    peers: dict[str, dict[str, Peer]] = {}
    for name, make in (("scikit-learn", sklearn_peers), ("torch", torch_peers), ("optax", optax_peers)):
        try:
            peers[name] = make()
        except ImportError:
            print(f"{name} is not installed: left out")
    lines = ["| loss | dtype | matchloss v | g | h |" + "".join(f" {p} v | g |" + (" h |" if p == "scikit-learn" else "") for p in peers)]
    lines.append("|" + "---|" * (lines[0].count("|") - 1))
    for loss in POINTWISE + SIMPLEX:
        worst, engine = (worst_rows, compiled_rows) if loss.family == "simplex" else (worst_pointwise, compiled)
        for dtype in (np.float64, np.float32):
            cells = [
                label(loss),
                np.dtype(dtype).name,
                *shown(worst(loss, dtype, lambda z, y, loss=loss, engine=engine: engine(loss, z, y))),
            ]
            for name, table in peers.items():
                call = table.get(label(loss))
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    found = None if call is None else worst(loss, dtype, call)
                cells += shown(found)[: 3 if name == "scikit-learn" else 2]
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    packages = ["numpy", "llvmlite", "mpmath", *(p for p in peers)]
    versions = ", ".join(f"{p} {version(p)}" for p in packages)
    header = f"""# Worst errors

`python benchmarks/accuracy.py`, {date.today().isoformat()}, Python {platform.python_version()}, {platform.machine()}, {versions}.

The worst error of value (v), gradient (g) and hessian (h), in eps (2^-52 or 2^-23) of the sum of the absolute values of the terms of the
documented formula, against mpmath at 60 digits or more, over the whole range of finite raw predictions, hard and soft targets. Logistic,
Poisson and cross entropy at hard targets: relative to the result itself. Simplex gradients and hessians: of the row's largest entry.
"wrong" is NaN, infinite where the exact number is finite (often a term that overflows beside a soft target), or not 0 where the exact
number is (other libraries choose other slopes at kinks). The contract: 4 pointwise, 8 simplex, 32 for probit and entmax with a
general root. Where a library's loss leaves a constant in or the hessian out, the cell compares what is the same thing, or is empty;
scikit-learn puts 1 for the hessian of absolute, pinball and (beyond delta) Huber losses on purpose. The compiled engine is measured;
the tests hold NumPy and array_api_strict to the same contract.

"""
    Path(__file__).with_name("ACCURACY.md").write_text(header + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

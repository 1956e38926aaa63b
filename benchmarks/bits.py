"""What every loss, option, host and dtype gives on recorded inputs, to the bit: to see that a change of rooms changes no result.

    PYTHONPATH=src:tests python -m benchmarks.bits record before.npz          # in the checkout before the change
    PYTHONPATH=src:tests python -m benchmarks.bits compare before.npz         # in the one after it; exit code 1 where something differs

Only public names are called. A name that `record` does not know is new and is not compared; one that is gone is a difference.
Bits depend on the processor: both runs belong on one machine.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import cases

Named = Iterator[tuple[str, Any]]
SHORT, LONG = 7, 45  # columns, on both sides of where rows are computed side by side
FEW, MANY = 20, 3000  # rows, on both sides of where loops are compiled
DTYPES = ("float64", "float32")


def of_numpy() -> Named:
    """NumPy: values, gradients, hessians of all curvatures, weights, layouts, predictions, sums, constants."""
    for loss in cases.INSTANCES:
        name = cases.label(loss)
        for dtype in DTYPES:
            for size in (FEW, MANY):
                for what, raw, target in inputs(loss, size, dtype):
                    yield from evaluations(f"numpy {name} {dtype} {size} {what}", loss, raw, target)
        raw, target = next((r, t) for _, r, t in inputs(loss, MANY, "float64"))
        yield f"numpy {name} best_constant", loss.best_constant(target)


def inputs(loss: Any, size: int, dtype: str) -> Iterator[tuple[str, Any, Any]]:
    """Raw predictions and targets of ordinary and extreme rows."""
    if not cases.is_simplex(loss):
        yield "moderate", *cases.moderate(loss, size, np.dtype(dtype))
        raw, target = cases.rows(loss, np.dtype(dtype).type)
        yield "extreme", raw[:size], target[:size]
        return
    for k in (SHORT, LONG):
        raw, labels, shares = cases.moderate_rows(size // k + 3, k, np.dtype(dtype))
        yield f"labels {k}", raw, labels
        yield f"distributions {k}", raw, shares
        raw = cases.logits(loss, k, max(8, size // k), np.dtype(dtype).type)
        labels, shares = cases.row_targets(k, len(raw), np.dtype(dtype).type)
        yield f"extreme labels {k}", raw, labels
        yield f"extreme distributions {k}", raw, shares


def evaluations(name: str, loss: Any, raw: Any, target: Any) -> Named:
    weight = np.random.default_rng(5).choice([0.0, 1.0, 2.5], size=raw.shape[:1])
    for curvature in ("exact", "fisher", "majorizer"):
        try:
            result = loss.evaluate(raw, target, hessian=True, curvature=curvature)
        except (ValueError, TypeError) as error:
            yield f"{name} {curvature}", np.array(str(error))
            continue
        for part, array in zip(result._fields, result, strict=True):
            yield f"{name} {curvature} {part}", array
    weighted = loss.evaluate(raw, target, weight, hessian=True)
    for part, array in zip(weighted._fields, weighted, strict=True):
        yield f"{name} weighted {part}", array
    strided = np.repeat(raw, 2, axis=0)[::2]
    yield f"{name} strided", loss.gradient(strided, target)
    yield f"{name} alone", loss.value(raw, target)
    yield f"{name} predict", loss.predict(raw)
    yield f"{name} mean", loss(raw, target, weight)
    yield f"{name} divergence", loss.divergence(raw, target)
    if cases.is_simplex(loss):
        yield f"{name} product", loss.hessian_product(raw, target, np.cos(raw))


def torch_losses() -> Named:
    """PyTorch: every loss by backward, double backward, torch.func and vmap."""
    import torch

    from matchloss.torch import loss as per_row

    for loss in cases.INSTANCES:
        for dtype in DTYPES:
            for what, raw, target in inputs(loss, FEW, dtype):
                name = f"torch {cases.label(loss)} {dtype} {what}"
                z = torch.from_numpy(np.ascontiguousarray(raw))
                t = torch.from_numpy(np.ascontiguousarray(target))
                z.requires_grad_()
                value = per_row(loss, z, t, reduction="none")
                (rows,) = torch.autograd.grad(value.sum(), z, create_graph=True)
                try:
                    mean = per_row(loss, z, t)
                    yield f"{name} mean", mean
                    yield f"{name} slope", torch.autograd.grad(mean, z)[0]
                except RuntimeError as error:  # a mean beyond float32, which once was an error
                    yield f"{name} mean", np.array(type(error).__name__)
                for part, tensor in (("value", value), ("rows", rows)):
                    yield f"{name} {part}", tensor
                if rows.requires_grad:
                    yield f"{name} twice", torch.autograd.grad((rows * torch.cos(z.detach())).sum(), z)[0]

                def total(z: Any, loss: Any = loss, t: Any = t) -> Any:
                    return per_row(loss, z, t, reduction="sum")

                yield f"{name} func", torch.func.grad(total)(z.detach())
                yield f"{name} jvp", torch.func.jvp(total, (z.detach(),), (torch.sin(z.detach()),))[1]
                yield f"{name} vmap", torch.func.vmap(lambda a, b, loss=loss: per_row(loss, a, b, reduction="none"))(z.detach(), t)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    "z": {"z_loss": 1e-2},
    "cap": {"softcap": 5.0},
    "cool": {"temperature": 0.7},
    "all": {"label_smoothing": 0.2, "z_loss": 1e-3, "softcap": 30.0, "temperature": 1.3},
}


def torch_cross_entropy() -> Named:
    """PyTorch: cross entropy with its options, in all dtypes, and of a linear layer."""
    import torch

    import matchloss.torch as F

    r = np.random.default_rng(7)
    for k in (SHORT, LONG):
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            for size in (FEW, MANY // k):
                z = torch.from_numpy(4 * r.normal(size=(size, k))).to(dtype)
                labels = torch.from_numpy(r.integers(0, k, size))
                some = torch.where(torch.arange(size) % 5 == 0, -100, labels)
                shares = torch.from_numpy(r.dirichlet(np.ones(k), size)).to(dtype if dtype.itemsize > 2 else torch.float32)
                classes = torch.from_numpy(r.uniform(0.1, 2, k)).to(z.dtype)
                top = (torch.stack([labels, (labels + 1) % k], 1), torch.tensor([[0.75, 0.25]] * size))
                rows = torch.from_numpy(r.choice([0.0, 1.0, 2.0], size)).float()
                for option, settings in OPTIONS.items():
                    for kind, target, more in (
                        ("labels", some, {}),
                        ("class weights", some, {"weight": classes}),
                        ("sample weights", labels, {"sample_weight": rows}),
                        ("distributions", shares, {}),
                        ("weighed distributions", shares, {"weight": classes}),
                        ("pairs", top, {}),
                    ):
                        name = f"cross_entropy {str(dtype)[6:]} {size}x{k} {option} {kind}"
                        yield from both_ways(name, F.cross_entropy, z, target, {**settings, **more})
                        if size == FEW and dtype in (torch.float64, torch.float32):
                            yield from second_order(name, F.cross_entropy, z, target, {**settings, **more})
                if size == FEW:
                    w = torch.from_numpy(r.normal(size=(k, 6))).to(dtype)
                    x = torch.from_numpy(r.normal(size=(size, 6))).to(dtype)
                    for option, settings in OPTIONS.items():
                        for kind, target in (("labels", some), ("distributions", shares), ("pairs", top)):
                            yield from layer(f"linear {str(dtype)[6:]} {k} {option} {kind}", F, x, w, target, settings)


def both_ways(name: str, function: Callable[..., Any], z: Any, target: Any, settings: dict[str, Any]) -> Named:
    """Value and gradient under each reduction, and on transposed memory."""
    import torch

    for reduction in ("mean", "sum", "none"):
        leaf = z.clone().requires_grad_()
        value = function(leaf, target, reduction=reduction, **settings)
        value.sum().backward()
        yield f"{name} {reduction} value", value
        yield f"{name} {reduction} gradient", leaf.grad
    leaf = z.t().contiguous().t().requires_grad_()
    function(leaf, target, **settings).backward()
    yield f"{name} transposed", leaf.grad
    with torch.no_grad():
        yield f"{name} no_grad", function(z, target, reduction="none", **settings)


def second_order(name: str, function: Callable[..., Any], z: Any, target: Any, settings: dict[str, Any]) -> Named:
    import torch

    def total(z: Any) -> Any:
        return function(z, target, **settings)

    leaf = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(total(leaf), leaf, create_graph=True)
    yield f"{name} twice", torch.autograd.grad((slope * torch.cos(z)).sum(), leaf)[0]
    yield f"{name} func", torch.func.grad(total)(z)
    yield f"{name} jvp", torch.func.jvp(total, (z,), (torch.sin(z),))[1]
    yield f"{name} vmap", torch.func.vmap(total)(torch.stack([z, 2 * z]))


def layer(name: str, F: Any, x: Any, w: Any, target: Any, settings: dict[str, Any]) -> Named:
    """Cross entropy of a linear layer: the loss, and the gradients of input and weight."""
    for reduction in ("mean", "none"):
        x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
        value = F.linear_cross_entropy(x, w, target, reduction=reduction, **settings)
        value.sum().backward()
        yield f"{name} {reduction} value", value
        yield f"{name} {reduction} input", x.grad
        yield f"{name} {reduction} weight", w.grad


def torch_dropins() -> Named:
    """PyTorch: its own functions under their names."""
    import torch

    import matchloss.torch as F

    r = np.random.default_rng(8)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        for size in (FEW, MANY):
            z = torch.from_numpy(3 * r.normal(size=(size // 4, 4))).to(dtype)
            y = torch.from_numpy(r.normal(size=z.shape)).to(dtype)
            label = torch.from_numpy(r.integers(0, 2, z.shape)).to(dtype)
            for name, function, target, settings in (
                ("mse_loss", F.mse_loss, y, {}),
                ("l1_loss", F.l1_loss, y, {}),
                ("huber_loss", F.huber_loss, y, {"delta": 0.7}),
                ("smooth_l1_loss", F.smooth_l1_loss, y, {"beta": 0.7}),
                ("soft_margin_loss", F.soft_margin_loss, 2 * label - 1, {}),
                ("poisson_nll_loss", F.poisson_nll_loss, label + 1, {}),
                ("poisson_nll_loss full", F.poisson_nll_loss, label + 1, {"full": True}),
                ("bce", F.binary_cross_entropy_with_logits, label, {}),
                ("bce pos_weight", F.binary_cross_entropy_with_logits, label, {"pos_weight": torch.tensor([1.0, 2.0, 3.0, 4.0]).to(dtype)}),
            ):
                yield from both_ways(f"{name} {str(dtype)[6:]} {size}", function, z, target, settings)
                if size == FEW and dtype in (torch.float64, torch.float32):
                    yield from second_order(f"{name} {str(dtype)[6:]}", function, z, target, settings)


def of_jax() -> Named:
    """JAX: every loss and cross entropy with its options, eager and jitted, once and twice."""
    import jax
    import jax.numpy as jnp

    import matchloss.jax as mj

    jax.config.update("jax_enable_x64", True)
    for loss in cases.INSTANCES:
        for dtype in DTYPES:
            for what, raw, target in inputs(loss, FEW, dtype):
                name = f"jax {cases.label(loss)} {dtype} {what}"

                def total(z: Any, loss: Any = loss, target: Any = target) -> Any:
                    return mj.loss(loss, z, target).sum()

                z = jnp.asarray(raw)
                yield f"{name} value", mj.loss(loss, z, target)
                yield f"{name} gradient", jax.grad(total)(z)
                if loss in cases.DEFAULTS and dtype == "float64" and not what.startswith("extreme"):
                    yield f"{name} jit", jax.jit(jax.value_and_grad(total))(z)[1]
                    yield f"{name} jvp", jax.jvp(jax.grad(total), (z,), (jnp.cos(z),))[1]
    r = np.random.default_rng(9)
    for k in (SHORT, LONG):
        for dtype in ("float64", "float32", "bfloat16"):
            z, labels = jnp.asarray(4 * r.normal(size=(FEW, k))).astype(dtype), r.integers(0, k, FEW)
            shares = r.dirichlet(np.ones(k), FEW)
            for option, settings in OPTIONS.items():
                for kind, target in (("labels", labels), ("distributions", shares)):
                    name = f"jax cross_entropy {dtype} {k} {option} {kind}"

                    def total(z: Any, target: Any = target, settings: Any = settings) -> Any:
                        return mj.cross_entropy(z, target, **settings).sum()

                    yield f"{name} value", mj.cross_entropy(z, target, **settings)
                    yield f"{name} gradient", jax.grad(total)(z)
                    if dtype == "float64":
                        yield f"{name} twice", jax.jvp(jax.grad(total), (z,), (jnp.cos(z),))[1]


ROOMS = {"numpy": of_numpy, "torch": torch_losses, "cross_entropy": torch_cross_entropy, "dropins": torch_dropins, "jax": of_jax}


def gather(rooms: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Every result by its name; half precision as it is widened, which loses nothing."""
    made: dict[str, np.ndarray[Any, Any]] = {}
    for room in rooms:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, x in ROOMS[room]():
                if hasattr(x, "detach"):
                    x = x.detach()
                    x = x.float() if x.dtype.itemsize < 4 else x
                a = np.asarray(x)
                made[name] = a if a.dtype.kind in "fiubU" else a.astype(np.float32)
        print(f"{room}: {len(made)} results so far", flush=True)
    return made


def difference(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> str:
    """Empty where two results are the same to the bit (a NaN is a NaN); else by how much they differ."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype}{a.shape} became {b.dtype}{b.shape}"
    same = a == b if a.dtype.kind != "f" else ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
    if np.all(same):
        return ""
    if a.dtype.kind != "f":
        return f"{a} became {b}"
    at = tuple(np.argwhere(~np.atleast_1d(same))[0])
    x, y = np.atleast_1d(a), np.atleast_1d(b)
    with np.errstate(all="ignore"):
        ulps = np.nanmax(np.abs(x - y)[~np.atleast_1d(same)] / np.spacing(np.abs(x[~np.atleast_1d(same)])), initial=0.0)
    return f"{(~np.atleast_1d(same)).sum()} of {x.size} entries, up to {ulps:.3g} units in the last place; {at}: {x[at]!r} became {y[at]!r}"


def main(command: str, file: str, rooms: list[str]) -> int:
    """Record, or compare with a record."""
    made = gather(rooms or list(ROOMS))
    if command == "record":
        np.savez_compressed(file, **{f"{i}": a for i, a in enumerate(made.values())}, names=np.array(list(made)))  # pyright: ignore[reportArgumentType]
        print(f"{len(made)} results in {file}")
        return 0
    with np.load(file) as stored:
        before = {str(name): stored[f"{i}"] for i, name in enumerate(stored["names"])}
    changed = 0
    for name, a in made.items():
        said = difference(before[name], a) if name in before else ""
        changed += bool(said)
        if said:
            print(f"{name}: {said}")
    gone = [name for name in before if name not in made] if not rooms else []
    print(*(f"{name}: gone" for name in gone), sep="\n")
    print(f"{changed} of {len(made)} results differ, {len(gone)} are gone, {sum(n not in before for n in made)} are new")
    return int(bool(changed or gone))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))

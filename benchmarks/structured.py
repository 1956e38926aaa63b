"""Losses of structures against PyTorch, pytorch-crf, lifelines, scikit-survival, statsmodels and xlogit, on one thread where nothing else
is said.

Most of the peers are in no extra of matchloss: run it where they are installed; a peer that is missing is left out, and the line says so.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits

import matchloss.torch as mt
from benchmarks.tables import Line, Table
from benchmarks.timing import best_loop, best_of
from matchloss.engine import threads
from matchloss.linear import ConditionalLogit, CoxRegression, OrderedRegressor
from matchloss.linear.dense import newton
from matchloss.losses.structured import (
    CLIP,
    CTC,
    Choice,
    ChoiceSets,
    Cox,
    LinearChainCRF,
    OrderedProbit,
    Paths,
    PlackettLuce,
    Rankings,
    RiskSets,
    SigLIP,
    Transcripts,
)

Step = Callable[[], object]


def there(*modules: str) -> bool:
    """Whether these peers are installed."""
    return all(importlib.util.find_spec(name) is not None for name in modules)


def line(table: Table, what: str, steps: dict[str, Step], limit: float, agreement: str, rounds: int = 8, calls: int = 1) -> None:
    """How many times as fast as the fastest peer; of short steps so many calls on end are timed."""
    t = best_loop(steps, calls, rounds, time.process_time)
    peers = {name: seconds for name, seconds in t.items() if name != "ours"}
    if not peers:
        table.add(Line(what, float("nan"), None, detail="the peer is not installed"))
        return
    peer = min(peers, key=peers.__getitem__)
    detail = f"{1e3 * peers[peer]:.3g} ms ({peer}) over {1e3 * t['ours']:.3g} ms; {agreement}"
    table.add(Line(what, peers[peer] / t["ours"], limit, least=True, digits=1, unit="x", detail=detail))


def cleared(*leaves: Any) -> None:
    """Gradients are made anew."""
    for x in leaves:
        x.grad = None


def ctc(table: Table) -> None:
    """CTC against log_softmax and F.ctc_loss."""
    r = np.random.default_rng(0)
    for shape, size, confident, limit in (
        ((150, 64, 64), 20, False, 3.5),
        ((150, 64, 64), 20, True, 2.3),
        ((500, 32, 5000), 40, False, 8.0),
    ):
        frames, many, classes = shape
        labels = torch.from_numpy(r.integers(1, classes, (many, size)))
        raw = torch.from_numpy(r.normal(size=shape).astype(np.float32))
        if confident:
            path = torch.zeros(frames, many, dtype=torch.int64)
            path[1 : 6 * size : 6] = labels.T
            raw.scatter_(2, path.unsqueeze(-1), 25.0)
        raw.requires_grad_()
        lengths = torch.full((many,), frames), torch.full((many,), size)

        def step(loss: Callable[..., Any], raw: Any = raw, labels: Any = labels, lengths: Any = lengths) -> Any:
            return torch.autograd.grad(loss(raw, labels, *lengths), raw)[0]

        def theirs(x: Any, *rest: Any) -> Any:
            return F.ctc_loss(x.log_softmax(-1), *rest)

        wide = raw.detach().double().requires_grad_()
        (exact,) = torch.autograd.grad(theirs(wide, labels, *lengths), wide)
        ours, peer = (float((step(f) - exact).abs().max() / exact.abs().max()) for f in (mt.ctc_loss_with_logits, theirs))
        said = f"gradient from float64's: {ours:.0e}, PyTorch's {peer:.0e}"
        name = f"CTC {shape}, float32{', confident' if confident else ''}"
        steps: dict[str, Step] = {"ours": lambda s=step: s(mt.ctc_loss_with_logits), "PyTorch": lambda s=step, f=theirs: s(f)}
        line(table, name, steps, limit, said, calls=5 if classes < 1000 else 1)


def crf(table: Table) -> None:
    """A CRF against pytorch-crf."""
    for tags in (20, 50):
        z, y = torch.randn(100, 64, tags, requires_grad=True), torch.randint(0, tags, (100, 64))
        own = mt.CRF(tags)
        steps: dict[str, Step] = {"ours": lambda z=z, y=y, own=own: (cleared(z), (-own(z, y)).backward())}
        said = "pytorch-crf is missing"
        if there("torchcrf"):
            from torchcrf import CRF  # pyright: ignore[reportMissingImports]

            peer = CRF(tags)
            peer.load_state_dict(own.state_dict())
            steps["pytorch-crf"] = lambda z=z, y=y, peer=peer: (cleared(z), (-peer(z, y)).backward())
            said = f"values apart by {float((own(z, y) / peer(z, y) - 1).abs()):.0e}"
        line(table, f"CRF, T = 100, N = 64, K = {tags}, float32", steps, 10.0, said, calls=5)


def solved(x: Any, time: Any, event: Any) -> Any:
    """Coefficients of Cox's model by its solver, on arrays."""
    risk = RiskSets(time, event)
    rows = (x - x.mean(0))[risk.order]
    return newton(lambda b: Cox("efron").newton(rows @ b, rows, risk), np.zeros(x.shape[1]), [], "no minimum").theta


def cox(table: Table) -> None:
    """The estimator's fit on a frame, and the solver on arrays, against lifelines, scikit-survival and statsmodels."""
    if not there("lifelines", "sksurv", "statsmodels"):
        return
    from lifelines import CoxPHFitter  # pyright: ignore[reportMissingImports]
    from lifelines.datasets import load_gbsg2, load_rossi  # pyright: ignore[reportMissingImports]
    from sksurv.linear_model import CoxPHSurvivalAnalysis  # pyright: ignore[reportMissingImports]
    from statsmodels.duration.hazard_regression import PHReg

    r = np.random.default_rng(0)
    x = r.normal(size=(20_000, 20))
    hazard = np.exp(x @ r.normal(0, 0.2, 20))
    time = r.exponential(1 / hazard).round(3) + 1e-3
    large = pd.DataFrame(x, columns=[f"x{j}" for j in range(20)]).assign(time=time, event=(r.uniform(size=20_000) < 0.7).astype(int))
    small = pd.get_dummies(load_gbsg2(), drop_first=True, dtype=float)
    for name, data, when, what, limit, array_limit in (
        ("20,000 x 20", large, "time", "event", 10.0, None),
        ("rossi", load_rossi(), "week", "arrest", 1.0, 10.0),
        ("gbsg2", small, "time", "cens", 1.0, 10.0),
    ):
        features = data.drop(columns=[when, what])
        outcome = np.array(list(zip(data[what].astype(bool), data[when], strict=True)), dtype=[("event", bool), ("time", float)])
        rows, times, events = features.to_numpy(float), data[when].to_numpy(float), data[what].to_numpy(int)
        exactly = {"precision": 1e-12, "r_precision": 1e-14, "max_steps": 100}  # lifelines stops earlier by default
        ours, theirs = CoxRegression().fit(data, when, what), CoxPHFitter().fit(data, when, what, fit_options=exactly)
        said = f"coefficients apart by {np.abs(ours.coef_ - theirs.params_.to_numpy()).max():.0e}"
        steps: dict[str, Step] = {
            "ours": lambda d=data, a=when, b=what: CoxRegression().fit(d, a, b),
            "lifelines": lambda d=data, a=when, b=what: CoxPHFitter().fit(d, a, b),
            "scikit-survival": lambda x=features, y=outcome: CoxPHSurvivalAnalysis(ties="efron").fit(x, y),
        }
        line(table, f"CoxRegression.fit on a frame, {name}", steps, limit, said, rounds=4, calls=1 if limit > 1 else 5)
        if array_limit is not None:
            steps["ours"] = lambda x=rows, t=times, e=events: solved(x, t, e)
            said = f"coefficients apart by {np.abs(solved(rows, times, events) - theirs.params_.to_numpy()).max():.0e}"
            steps["scikit-survival"] = lambda x=rows, y=outcome: CoxPHSurvivalAnalysis(ties="efron").fit(x, y)
            steps["statsmodels"] = lambda x=rows, t=times, e=events: PHReg(t, x, status=e, ties="efron").fit(disp=0)
            line(table, f"Cox's solver on arrays, {name}", steps, array_limit, said, calls=5)


def lists(table: Table) -> None:
    """Plackett-Luce against the padded text that people write."""
    r = np.random.default_rng(0)
    sizes = r.integers(5, 51, 10_000)
    indptr = torch.from_numpy(np.concatenate([[0], sizes.cumsum()]))
    z = torch.randn(int(indptr[-1]), requires_grad=True)
    inside = torch.arange(50) < torch.from_numpy(sizes)[:, None]

    def padded() -> Any:
        s = torch.full(inside.shape, -1e9).masked_scatter(inside, z)
        left = s.flip(1).logcumsumexp(1).flip(1)
        return torch.where(inside, left - s, 0.0).sum() / len(sizes)

    def step(loss: Callable[[], Any]) -> Any:
        return torch.autograd.grad(loss(), z)[0]

    gap = float((step(lambda: mt.plackett_luce_loss(z, indptr)) - step(padded)).abs().max() * len(sizes))
    steps: dict[str, Step] = {"ours": lambda: step(lambda: mt.plackett_luce_loss(z, indptr)), "padded PyTorch": lambda: step(padded)}
    line(table, "Plackett-Luce, 10,000 lists of 5 to 50", steps, 5.0, f"gradients of a list apart by {gap:.0e}", calls=5)


def choices(table: Table) -> None:
    """Conditional and ordered logit against statsmodels."""
    if not there("statsmodels"):
        return
    from statsmodels.discrete.conditional_models import ConditionalLogit as Peer
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    r = np.random.default_rng(0)
    x = r.normal(size=(10_000, 5))
    groups = np.repeat(np.arange(2_000), 5)
    chosen = (np.argmax((x @ np.full(5, 0.5) + r.gumbel(size=10_000)).reshape(-1, 5), 1)[:, None] == np.arange(5)).astype(int).ravel()
    gap = np.abs(
        ConditionalLogit().fit(x, chosen, groups).coef_ - Peer(chosen, x, groups=groups).fit(method="newton", disp=False).params
    ).max()
    steps: dict[str, Step] = {
        "ours": lambda: ConditionalLogit().fit(x, chosen, groups),
        "statsmodels' Newton": lambda: Peer(chosen, x, groups=groups).fit(method="newton", disp=False),
    }
    line(table, "ConditionalLogit.fit, 2,000 sets of 5", steps, 50.0, f"coefficients apart by {gap:.0e}", rounds=1)
    x = r.normal(size=(20_000, 5))
    y = np.digitize(x @ np.full(5, 0.5) + r.logistic(size=20_000), [-2, -1, 0, 1, 2])
    for link in ("logit", "probit"):
        fit = lambda link=link: OrderedModel(y, x, distr=link).fit(method="bfgs", gtol=1e-10, disp=False, maxiter=500)  # noqa: E731
        gap = abs(OrderedRegressor(link).fit(x, y).objective_ / -fit().llf - 1)
        line(
            table,
            f"OrderedRegressor.fit, {link}, 20,000 rows, 6 labels",
            {"ours": lambda k=link: OrderedRegressor(k).fit(x, y), "statsmodels": fit},
            40.0,
            f"log likelihoods apart by {gap:.0e}",
            rounds=1,
        )


def many_sets(table: Table) -> None:
    """Conditional logit of 50,000 sets of 3 to 10 against xlogit, which takes padded arrays."""
    if not there("xlogit"):
        return
    from xlogit import MultinomialLogit  # pyright: ignore[reportMissingImports]

    r = np.random.default_rng(0)
    sizes = r.integers(3, 11, 50_000)
    group, start = np.repeat(np.arange(sizes.size), sizes), np.repeat(sizes.cumsum() - sizes, sizes)
    place, width, names = np.arange(group.size) - start, 10, [f"x{j}" for j in range(10)]
    x = r.normal(size=(group.size, 10))
    score = np.full((sizes.size, width), -np.inf)
    score[group, place] = x @ (r.normal(size=10) * 0.5) + r.gumbel(size=group.size)
    chosen = (score.argmax(1)[group] == place).astype(int)
    full, here, picked = np.zeros((sizes.size, width, 10)), np.zeros((sizes.size, width)), np.zeros((sizes.size, width))
    full[group, place], here[group, place], picked[group, place] = x, 1, chosen
    ids, alternatives = np.repeat(np.arange(sizes.size), width), np.tile(np.arange(width), sizes.size)

    def peer() -> Any:
        model, tight = MultinomialLogit(), {"ftol": 1e-15, "gtol": 1e-10}
        model.fit(
            full.reshape(-1, 10), picked.ravel(), varnames=names, alts=alternatives, ids=ids, avail=here.ravel(), verbose=0, tol_opts=tight
        )
        return model

    gap = np.abs(ConditionalLogit().fit(x, chosen, group).coef_ - peer().coeff_).max()
    steps: dict[str, Step] = {"ours": lambda: ConditionalLogit().fit(x, chosen, group), "xlogit": peer}
    line(table, "ConditionalLogit.fit, 50,000 sets of 3 to 10, 10 columns", steps, 2.0, f"coefficients apart by {gap:.0e}", rounds=1)


def peak_of(step: Step) -> tuple[float, float, Any]:
    """Seconds, the most memory that was held beside what was held before in MB (Linux's account of it), and the result."""

    def held(key: str) -> float:
        return next(int(text.split()[1]) for text in Path("/proc/self/status").read_text().splitlines() if text.startswith(key)) / 1024

    Path("/proc/self/clear_refs").write_text("5")
    before, start = held("VmRSS"), time.perf_counter()
    result = step()
    return time.perf_counter() - start, held("VmHWM") - before, result


def pairs(table: Table, n: int = 16_384) -> None:
    """CLIP and SigLIP against eager PyTorch, which takes more than 4 GB at N = 16,384: one call each."""
    few = F.normalize(torch.randn(64, 512), dim=1).requires_grad_()
    (mt.clip_loss(few, few, 20.0) + mt.siglip_loss(few, few, 20.0)).backward()  # loads the loops
    a, b = (F.normalize(torch.randn(n, 512), dim=1).requires_grad_() for _ in range(2))
    scale, bias, rows = torch.tensor(20.0, requires_grad=True), torch.tensor(-5.0, requires_grad=True), torch.arange(n)

    def clip() -> Any:
        z = scale * a @ b.T
        return (F.cross_entropy(z, rows) + F.cross_entropy(z.T, rows)) / 2

    def siglip() -> Any:
        return -F.logsigmoid((2 * torch.eye(n) - 1) * (scale * a @ b.T + bias)).sum() / n

    for name, ours, theirs in (
        ("CLIP", lambda: mt.clip_loss(a, b, scale), clip), ("SigLIP", lambda: mt.siglip_loss(a, b, scale, bias), siglip),
    ):  # fmt: skip

        def step(loss: Callable[[], Any]) -> Any:
            cleared(a, b)
            value = loss()
            value.backward()
            return value.item()

        mine, held, value = peak_of(lambda f=ours: step(f))
        peer, eager, other = peak_of(lambda f=theirs: step(f))
        detail = f"{peer:.1f} s (eager PyTorch) over {mine:.1f} s; values apart by {abs(value / other - 1):.0e}"
        name = f"{name}, N = {n:,}, d = 512, float32"
        table.add(Line(name, peer / mine, 1.8, least=True, digits=1, unit="x", detail=detail))
        detail = f"eager PyTorch {eager:,.0f} MB; beside the inputs, with both gradients"
        table.add(Line(f"{name}, memory", held, 300.0, digits=0, unit=" MB", detail=detail))


def same(a: Any, b: Any) -> bool:
    """Whether two evaluations are the same to the bit."""
    parts = [(x.value, *(x.gradient if isinstance(x.gradient, tuple) else (x.gradient,))) for x in (a, b)]
    return all(np.array_equal(x, y) for x, y in zip(*parts, strict=True))


def works() -> Iterator[tuple[str, float | None, Callable[[], Any]]]:
    """What is done on one thread and on two: its name, the least that is asked, and the work."""
    r = np.random.default_rng(0)
    for many in (8, 32):
        z = r.normal(size=(500, many, 500)).astype(np.float32)
        said = Transcripts(r.integers(1, 500, (many, 40)), np.full(many, 40), np.full(many, 500))
        yield f"CTC, {many} sequences of 500 frames", 1.6, lambda z=z, said=said: CTC().evaluate(z, said)
    for many in (256, 2048):
        chain, paths = (r.normal(size=(many, 100, 20)), r.normal(size=(20, 20)), *np.zeros((2, 20))), Paths(r.integers(0, 20, (many, 100)))
        yield f"CRF, {many:,} sequences, K = 20", 1.6, lambda chain=chain, paths=paths: LinearChainCRF().evaluate(chain, paths)
    for many in (20_000, 200_000):
        ranked = Rankings(np.concatenate([[0], r.integers(5, 51, many).cumsum()]))
        scores = r.normal(size=ranked.order.size)
        yield f"Plackett-Luce, {many:,} lists", 1.6, lambda scores=scores, ranked=ranked: PlackettLuce().evaluate(scores, ranked)
    scale, bias, eta = np.float32(20), np.float32(-5), r.normal(size=500_000)
    for n in (1024, 4096):
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in r.normal(size=(2, n, 256)).astype(np.float32))
        yield f"CLIP, N = {n:,}", 1.6, lambda a=a, b=b: CLIP().evaluate((a, b, scale), None)
        yield f"SigLIP, N = {n:,}", 1.6, lambda a=a, b=b: SigLIP().evaluate((a, b, scale, bias), None)
    risk, chosen = RiskSets(r.exponential(size=500_000).round(4), np.arange(500_000) % 2), np.arange(500_000) % 5 == 0
    sets, labels = np.arange(0, 500_001, 5), r.integers(0, 6, 500_000)
    yield "Cox, 500,000 rows", None, lambda: Cox().evaluate(eta, risk)
    yield "conditional logit, 100,000 sets of 5", None, lambda: Choice().evaluate(eta, ChoiceSets(sets, chosen))
    yield "ordered probit, 500,000 rows", None, lambda: OrderedProbit().evaluate((eta, np.arange(-2.0, 3.0)), labels)


def two_threads() -> Table:
    """The same work on two threads over one."""
    table = Table(
        "Losses of structures: two threads over one",
        "Value and gradient; best of 40, of longer work of 6, in turn. Each of work of 5 to 25 ms, and of more.",
    )
    for name, limit, work in works():

        def on(count: int, work: Callable[[], Any] = work) -> Any:
            with threads.at_most(count), threadpool_limits(count):
                return work()

        start = time.perf_counter()
        on(1)
        short = time.perf_counter() - start < 0.05
        t = best_of({"one": lambda f=on: f(1), "two": lambda f=on: f(2)}, 40 if short else 6)
        bits = "the same bits" if same(on(1), on(2)) else "other bits"
        detail = f"{1e3 * t['one']:.0f} ms over {1e3 * t['two']:.0f} ms, {bits}; {threads.count()} threads allowed"
        limit = limit if threads.count() > 1 else None
        table.add(Line(name, t["one"] / t["two"], limit, least=True, digits=1, unit="x", detail=detail))
    return table


def run() -> list[Table]:
    """All tables."""
    before = torch.get_num_threads()
    table = Table(
        "Losses of structures: how many times as fast as the fastest peer",
        "Value and gradient, or a whole fit, one thread for each side as in the prototype's tables: seconds of the processor, which other "
        "work on the machine does not lengthen; best of a few, in turn, those of some milliseconds over five calls on end. "
        "CLIP and SigLIP: one call each, by the clock.",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.set_num_threads(1)
            with threads.at_most(1), threadpool_limits(1):  # of NumPy's products, too
                for part in (ctc, crf, lists, cox, choices, many_sets, pairs):
                    part(table)
        finally:
            torch.set_num_threads(before)
        return [table, two_threads()]

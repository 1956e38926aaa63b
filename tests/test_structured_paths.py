"""CRFs on chains and Plackett-Luce lists, against every path and every order, and in the tails against mpmath."""

from __future__ import annotations

from itertools import pairwise, permutations, product
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matchloss as ml
from matchloss.engine import threads
from matchloss.losses.structured import LinearChainCRF, Paths, PlackettLuce, Rankings
from sweeps import sweep

CRF = LinearChainCRF()


def score(raw: Any, path: Any) -> Any:
    z, trans, start, end = raw
    steps = mp.fsum(mp.mpf(z[t, k]) for t, k in enumerate(path)) + mp.fsum(mp.mpf(trans[a, b]) for a, b in pairwise(path))
    return steps + mp.mpf(start[path[0]]) + mp.mpf(end[path[-1]])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from([1.0, 30.0, 400.0]), st.integers(0, 10**6))
def test_a_crf_is_a_sum_over_all_paths(steps: int, tags: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, trans, start, end = (scale * rng.normal(size=shape) for shape in ((steps, tags), (tags, tags), tags, tags))
    path = tuple(rng.integers(0, tags, steps).tolist())
    paths = list(product(range(tags), repeat=steps))
    with mp.workdps(900):
        weights = {p: mp.exp(score((z, trans, start, end), p) - score((z, trans, start, end), path)) for p in paths}
        others = mp.fsum(w for p, w in weights.items() if p != path)
        value, total = mp.log1p(others), 1 + others
        wanted = np.zeros((steps, tags))
        pairs = np.zeros((tags, tags))
        for t, k in product(range(steps), range(tags)):
            mass = mp.fsum(w for p, w in weights.items() if (p[t] == k) != (path[t] == k)) / total
            wanted[t, k] = float(-mass if path[t] == k else mass)
        for p, w in weights.items():
            for a, b in pairwise(p):
                pairs[a, b] += float(w / total)
            for a, b in pairwise(path):
                pairs[a, b] -= float(w / total)
    raw = (z[None], trans, start, end)
    found = CRF.evaluate(raw, Paths([path]))
    assert abs(found.value[0] - value) <= 1e-13 * max(1, scale) / 10 * value + 1e-290
    assert np.abs(found.gradient[0][0] - wanted).max() <= 1e-12 * np.abs(wanted).max() + 1e-290
    assert np.abs(found.gradient[1] - pairs).max() < 1e-12 * steps
    best = max(paths, key=lambda p: score((z, trans, start, end), p))
    assert tuple(CRF.decode(raw)[0].tolist()) == best
    assert all(
        np.allclose(a, b)
        for a, b in zip(
            (p - o for p, o in zip(CRF.predict(raw, Paths([path])), CRF.observed(raw, Paths([path])), strict=True)),
            found.gradient,
            strict=True,
        )
    )


@pytest.mark.parametrize("dtype", sweep([np.float32, np.float64], lambda dtype: dtype == np.float64))
def test_padding_threads_and_order_change_nothing_in_a_crf(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    z, trans, start, end = (rng.normal(size=shape).astype(dtype) for shape in ((20, 6, 4), (4, 4), 4, 4))
    lengths, tags = rng.integers(1, 7, 20), rng.integers(0, 4, (20, 6))
    with threads.at_most(1):
        one = CRF.evaluate((z, trans, start, end), Paths(tags, lengths))
    noise = np.where((np.arange(6) < lengths[:, None])[..., None], z, np.nan).astype(dtype)
    two = CRF.evaluate((noise, trans, start, end), Paths(np.where(np.arange(6) < lengths[:, None], tags, -1), lengths))
    assert (one.value == two.value).all() and all((a == b).all() for a, b in zip(one.gradient, two.gradient, strict=True))
    assert np.abs(one.gradient[0].sum(-1)).max() < 10 * np.finfo(dtype).eps and abs(one.gradient[1].sum()) < 1e-4
    heavy = CRF.evaluate((z, trans, start, end), Paths(tags, lengths), sample_weight=np.arange(20.0))
    assert np.allclose(heavy.gradient[0], np.arange(20)[:, None, None] * one.gradient[0], rtol=1e-5) and heavy.value[0] == 0


def test_forbidden_transitions_and_bad_input_of_a_crf() -> None:
    z, trans, flat = np.zeros((2, 3, 2)), np.array([[0.0, -np.inf], [0.0, 0.0]]), np.zeros(2)
    paths = Paths([[0, 0, 0], [1, 1, 0]])
    assert np.allclose(CRF.value((z, trans, flat, flat), paths), np.log(4))  # of the 8 paths 4 never go from 0 to 1
    assert np.allclose(CRF.value((z, np.where(trans < 0, -1e4, 0.0), flat, flat), paths), np.log(4))
    for bad, message in (
        (lambda: CRF.value((z, trans, flat, flat), Paths([[0, 0, 0], [0, 1, 0]])), "path of sequence 1 has probability 0"),
        (lambda: CRF.value((z, trans, flat, flat), Paths([[0, 0, 0], [0, 2, 0]])), r"tags\[1, 1\] is 2; allowed: 0 to 1"),
        (lambda: Paths([[0, 0]], [3]), r"lengths\[0\] is 3"),
        (lambda: CRF.value((z + np.nan, trans, flat, flat), paths), r"emissions\[0, 0, 0\] is nan"),
        (lambda: CRF.value((z, trans + np.inf, flat, flat), paths), r"transitions\[0, 0\] is"),
        (lambda: CRF.value((z, trans[:1], flat, flat), paths), "transitions has shape"),
        (lambda: CRF.value((z, trans), paths), "raw has 2 parts; crf takes 4"),
        (lambda: CRF.decode((z, trans - np.inf, flat, flat)), "every path of sequence 0 has probability 0"),
    ):
        with pytest.raises(ValueError, match=message), np.errstate(invalid="ignore"):
            bad()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.sampled_from([1.0, 40.0, 700.0]), st.sampled_from([None, 1, 2]), st.integers(0, 10**6))
def test_plackett_luce_is_a_distribution_over_all_orders(n: int, scale: float, top: int | None, seed: int) -> None:
    z = scale * np.random.default_rng(seed).normal(size=n)
    loss, total = PlackettLuce(top), 0.0
    with mp.workdps(400):
        for order in permutations(range(n)):
            own = [mp.exp(mp.mpf(float(z[j]))) for j in order]
            places = range(min(n, top or n))
            wanted = mp.fsum(mp.log1p(mp.fsum(own[k + 1 :]) / own[k]) for k in places)
            slopes = [mp.mpf(0)] * n
            for k in places:
                for j in range(k, n):
                    slopes[order[j]] += -mp.fsum(own[k + 1 :]) / mp.fsum(own[k:]) if j == k else own[j] / mp.fsum(own[k:])
            found = loss.evaluate(z, Rankings([0, n], order))
            assert abs(found.value[0] - wanted) <= 1e-13 * scale * wanted + 1e-290
            masses = max(map(abs, slopes))
            assert max(abs(g - s) for g, s in zip(found.gradient, slopes, strict=True)) <= 1e-12 * max(1.0, float(masses))
            total += float(mp.exp(-wanted))
        repeats = np.prod(np.arange(1, n - min(n, top or n) + 1))  # orders that agree in the first places
    assert total == pytest.approx(float(repeats), rel=1e-9)


def test_lists_do_not_meet_and_bad_lists_are_named() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 9, 200)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    z, relevance = rng.normal(size=indptr[-1]), rng.integers(0, 4, indptr[-1])
    lists = Rankings.by_relevance(relevance, indptr)
    with threads.at_most(1):
        one = PlackettLuce().evaluate(z, lists)
    two = PlackettLuce().evaluate(z, lists)
    assert (one.value == two.value).all() and (one.gradient == two.gradient).all()
    assert np.abs(np.add.reduceat(one.gradient, indptr[:-1])).max() < 1e-14
    a, b = indptr[7], indptr[8]
    alone = PlackettLuce().evaluate(z[a:b], Rankings.by_relevance(relevance[a:b], [0, b - a]))
    assert alone.value[0] == one.value[7] and (alone.gradient == one.gradient[a:b]).all()
    assert np.allclose(PlackettLuce(2).predict(z, lists), PlackettLuce(2).gradient(z, lists) + PlackettLuce(2).observed(z, lists))
    for bad, message in (
        (lambda: Rankings([0, 2, 2, 3]), "list 1 is empty"),
        (lambda: Rankings([0, 3], [0, 1, 1]), "order of list 0: allowed: each position of the list once"),
        (lambda: Rankings([0, 3], [0, 1, 3]), r"order\[2\] is 3"),
        (lambda: Rankings([1, 3]), "it must begin with 0"),
        (lambda: Rankings.by_relevance([1.0, np.nan], [0, 2]), r"relevance\[1\] is nan"),
        (lambda: PlackettLuce().value([0.0, np.inf], Rankings([0, 1, 2])), "list 1, position 0: the score is inf"),
        (lambda: PlackettLuce().value([0.0], Rankings([0, 1, 2])), "raw has shape"),
        (lambda: PlackettLuce(top=0), "PlackettLuce's top is 0"),
    ):
        with pytest.raises((ml.DomainError, ml.ShapeError), match=message):
            bad()

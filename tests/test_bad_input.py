"""DESIGN section 6 at every entry point of the library: which row, which value, what was allowed; and what is no error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matchloss as ml
from cases import INSTANCES, POINTWISE, SIMPLEX, is_simplex, label, moderate, moderate_rows
from matchloss.errors import DomainError, ShapeError

ENTRIES = ["evaluate", "value", "gradient", "hessian", "divergence", "__call__"]
SIZES = [7, 1500]  # NumPy's formula, the compiled loops


def good(loss: Any, n: int, dtype: Any = np.float64) -> tuple[Any, Any]:
    """Raw and soft target of any loss."""
    if is_simplex(loss):
        z, _, p = moderate_rows(n, 3, dtype)
        return z, p
    return moderate(loss, n, dtype)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_wrong_shapes(loss: Any, entry: str) -> None:
    z, y = good(loss, 7)
    call = getattr(loss, entry)
    bad = [(z, y[:6]), (z[:6], y), (z, y[None]), (z[0, 0] if is_simplex(loss) else z[0], y)]
    bad += [] if is_simplex(loss) else [(z, y[:, None]), (z[:, None], y), (z, y[0])]
    for raw, target in bad:
        with pytest.raises(ShapeError, match="shape"):
            call(raw, target)


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
@pytest.mark.parametrize("dtype", ["O", "U", "complex128", "float16", "longdouble", "datetime64[s]", "masked"])
def test_wrong_dtypes(loss: Any, dtype: str) -> None:
    z, y = good(loss, 7)

    def spoil(a: Any) -> Any:
        if dtype == "masked":
            return np.ma.masked_array(a, mask=False)
        return np.zeros(a.shape, dtype) if dtype.startswith("datetime") else a.astype(dtype)

    with pytest.raises(TypeError, match="raw"):
        loss.evaluate(spoil(z), y)
    with pytest.raises(TypeError, match="target"):
        loss.value(z, spoil(y))
    with pytest.raises(TypeError, match="sample_weight"):
        loss(z, y, spoil(np.ones(7)))
    for method, argument in ((loss.predict, z), (loss.link, y), (loss.best_constant, y)):
        if method == loss.link and loss.name == "hinge":
            continue
        with pytest.raises(TypeError):
            method(spoil(argument))


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_torch_tensors_are_refused_by_name_where_numpy_alone_computes(loss: Any) -> None:
    torch = pytest.importorskip("torch")
    z, y = good(loss, 4)
    t = torch.zeros(tuple(z.shape), dtype=torch.float64)
    for call in (lambda: loss(t, y), lambda: loss.gradient(z, t), lambda: loss.evaluate(z, y, t[..., 0])):
        with pytest.raises(TypeError, match="torch"):
            call()
    with pytest.raises(
        NotImplementedError if isinstance(loss, ml.Hinge) else TypeError, match="no link" if isinstance(loss, ml.Hinge) else "torch"
    ):
        loss.link(t)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_a_bad_target_names_row_value_and_set(loss: Any, dtype: Any, n: int) -> None:
    if dtype == np.float32 and loss not in (ml.Logistic(), ml.Poisson(), ml.SquaredError(), ml.CrossEntropy()):
        return  # one loop a dtype is like another; these cover the kinds
    z, y = good(loss, n, dtype)
    row = n - 3
    bad = [np.nan, np.inf, -np.inf] if loss.family == "regression" else [np.nan, np.inf, -0.25]
    bad += [1.5] if loss.family in ("binary", "simplex") else []
    bad += [0.0] if loss.family == "positive" and 0.0 not in loss.target_domain else []
    for x in bad:
        target = y.copy()
        target[row] = x
        before = z.copy(), target.copy()
        with pytest.raises(DomainError) as e:
            loss.evaluate(z, target, hessian=True)
        assert str(row) in str(e.value) and "allowed" in str(e.value)
        if not is_simplex(loss):
            assert repr(x) in str(e.value) and str(loss.target_domain) in str(e.value)
        np.testing.assert_array_equal(z, before[0])
        np.testing.assert_array_equal(target, before[1])
        with pytest.raises(DomainError):
            loss.best_constant(target)


# A pass that only checks is one more loop to compile: two losses stand for all above 1,000 rows.
@pytest.mark.parametrize(("loss", "n"), [(loss, 7) for loss in INSTANCES] + [(ml.Logistic(), 1500), (ml.Sparsemax(), 1500)], ids=label)
def test_nothing_is_written_when_a_target_is_bad_and_out_was_given(loss: Any, n: int) -> None:
    z, y = good(loss, n)
    y[-1] = np.nan
    out = ml.Evaluation(np.full(n, 7.0), np.full(z.shape, 7.0), np.full(z.shape, 7.0))
    with pytest.raises(DomainError):
        loss.evaluate(z, y, hessian=True, out=out)
    assert all((a == 7).all() for a in out)


@pytest.mark.parametrize("loss", SIMPLEX, ids=label)
def test_labels_and_distributions(loss: Any) -> None:
    for n in (5, 700):
        z, labels, p = moderate_rows(n, 3)
        for x in (-1, 3):
            bad = labels.copy()
            bad[n - 2] = x
            with pytest.raises(DomainError, match=rf"target\[{n - 2}\] is {x}.*0\.\.2"):
                loss.evaluate(z, bad, hessian=True)
        q = p.copy()
        q[n - 2] *= 1 + 1e-5
        with pytest.raises(DomainError, match=rf"target\[{n - 2}\] sums to 1\.0000"):
            loss.evaluate(z, q, hessian=True)
        loss.evaluate(z, p * (1 + 5e-7), hessian=True)
        loss.evaluate(z.astype(np.float32), (p * (1 + 5e-5)).astype(np.float32), hessian=True)
        with pytest.raises(DomainError, match="sums to"):
            loss.evaluate(z.astype(np.float32), (p * (1 + 3e-4)).astype(np.float32), hessian=True)
        with pytest.raises(TypeError, match="integers"):
            loss.value(z, labels.astype(float))
        plain, small = (loss.evaluate(z, a, hessian=True) for a in (labels, labels.astype(np.int8)))
        np.testing.assert_array_equal(plain.gradient, small.gradient)
    with pytest.raises(ShapeError):
        loss.value(np.zeros((3, 0)), np.zeros(3, int))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_weights(loss: Any, n: int) -> None:
    z, y = good(loss, n)
    for x in (-1.0, np.nan, np.inf):
        w = np.ones(n)
        w[n - 2] = x
        for call, arguments in ((loss, (z, y, w)), (loss.evaluate, (z, y, w)), (loss.best_constant, (y, w))):
            with pytest.raises(DomainError, match=rf"sample_weight\[{n - 2}\] is {x!r}"):
                call(*arguments)
    for w in (np.ones(n - 1), np.ones((n, 1))):
        with pytest.raises(ShapeError):
            loss(z, y, w)
    with pytest.raises(ValueError, match="weight"):
        loss.best_constant(y, np.zeros(n))
    assert all((a == 0).all() for a in loss.evaluate(z, np.full(y.shape, np.nan), np.zeros(n), hessian=True))


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_all_weights_zero_has_no_mean(loss: Any) -> None:
    z, y = good(loss, 7)
    with pytest.raises(DomainError, match="every sample_weight is 0"):
        loss(z, y, np.zeros(7))


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_empty_one_row_and_scalars(loss: Any) -> None:
    z, y = good(loss, 3)
    empty = loss.evaluate(z[:0], y[:0], hessian=True)
    assert empty.value.shape == (0,) and empty.gradient.shape == z[:0].shape == empty.hessian.shape
    with pytest.raises(ShapeError):
        loss(z[:0], y[:0])
    with pytest.raises(ShapeError):
        loss.best_constant(y[:0])
    one = loss.evaluate(z[:1], y[:1], hessian=True)
    alone = loss.evaluate(z[0], y[0], hessian=True)
    for a, b in zip(one, alone, strict=True):
        np.testing.assert_array_equal(a[0], b)
    assert np.ndim(alone.value) == 0 and np.ndim(loss(z, y)) == 0
    assert np.isclose(loss(z[:1], y[:1]), alone.value)


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_nan_raw_is_nan_in_that_row_alone(loss: Any) -> None:
    for n in SIZES:
        z, y = good(loss, n)
        clean = loss.evaluate(z, y, hessian=True)
        place = (n // 2, 1) if is_simplex(loss) else (n // 2,)
        z[place] = np.nan
        for a, b in zip(loss.evaluate(z, y, hessian=True), clean, strict=True):
            assert np.isnan(a[n // 2]).all(), loss
            rest = np.arange(n) != n // 2
            np.testing.assert_array_equal(a[rest], b[rest])
        assert np.isnan(loss.predict(z[n // 2 : n // 2 + 1])).all()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("loss", POINTWISE, ids=label)
def test_infinite_raw_gives_the_limit(loss: Any, sign: float) -> None:
    """What a very large raw approaches; NaN only where nothing is approached, or a difference of infinities hides it."""
    ys = np.array([0.0, 1.0, 0.375] if loss.target_domain.high == 1 else [1.0, 2.5, 0.5])
    at = loss.evaluate(np.full(3, sign * np.inf), ys, hessian=True)
    far = loss.evaluate(np.full(3, sign * 1e300), ys, hessian=True)
    if loss.name == "sine_squared":
        assert all(np.isnan(a).all() for a in at)
        return
    for got, limit in zip(at, far, strict=True):
        huge = np.abs(limit) > 1e200
        np.testing.assert_array_equal(got[huge], np.sign(limit[huge]) * np.inf)
        np.testing.assert_array_equal(got[~huge], limit[~huge])
    n = np.full(1500, sign * np.inf), np.resize(ys, 1500)
    for got, small in zip(loss.evaluate(*n, hessian=True), at, strict=True):
        np.testing.assert_array_equal(got[:3], small)


@pytest.mark.parametrize("loss", POINTWISE, ids=label)
def test_huge_raw_is_finite_where_numpy_finds_it_finite(loss: Any) -> None:
    z = np.concatenate([s * 10.0 ** np.arange(5, 308) for s in (-1.0, 1.0)])
    y = np.full(z.size, 1.0)
    few = [loss.evaluate(z[i : i + 100], y[i : i + 100], hessian=True) for i in range(0, z.size, 100)]
    many = loss.evaluate(np.resize(z, 4 * z.size), np.resize(y, 4 * z.size), hessian=True)
    for got, parts in zip(many, zip(*few, strict=True), strict=True):
        np.testing.assert_array_equal(np.isfinite(got[: z.size]), np.isfinite(np.concatenate(parts)))


@pytest.mark.parametrize("loss", SIMPLEX, ids=label)
def test_infinite_raw_in_a_row(loss: Any) -> None:
    z = np.array([[0.0, -np.inf, 1.0], [np.inf, 0.0, 1.0], [np.inf, np.inf, 0.0], [-np.inf, -np.inf, -np.inf]])
    for repeat in (1, 400):
        raw, target = np.tile(z, (repeat, 1)), np.tile([0, 0, 0, 0], repeat)
        e = loss.evaluate(raw, target, hessian=True)
        part = loss.evaluate(z[:1, [0, 2]], [0], hessian=True)
        np.testing.assert_allclose(e.value[0], part.value[0], rtol=1e-15)
        np.testing.assert_allclose(e.gradient[0, [0, 2]], part.gradient[0], rtol=1e-14)
        assert e.gradient[0, 1] == 0 and e.hessian[0, 1] == 0
        assert e.value[1] == 0 and (e.gradient[1] == 0).all() and (e.hessian[1] == 0).all()
        assert np.isnan(e.value[2:4]).all() and np.isnan(e.gradient[2:4]).all()


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_out_is_checked(loss: Any) -> None:
    z, y = good(loss, 5)
    frozen = np.zeros(z.shape)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        loss.evaluate(z, y, out=ml.Evaluation(None, frozen, None))
    with pytest.raises(ShapeError, match=r"out\.value"):
        loss.evaluate(z, y, out=ml.Evaluation(np.zeros(4), None, None))
    with pytest.raises(TypeError, match=r"out\.gradient"):
        loss.evaluate(z, y, out=ml.Evaluation(None, np.zeros(z.shape, int), None))
    with pytest.raises(ShapeError):
        loss.evaluate(z, y, out=(np.zeros(5), np.zeros(z.shape)))


@pytest.mark.parametrize("loss", INSTANCES, ids=label)
def test_a_curvature_that_is_not_there(loss: Any) -> None:
    z, y = good(loss, 5)
    with pytest.raises(DomainError, match="'nonsense'; allowed: exact"):
        loss.hessian(z, y, curvature="nonsense")


@pytest.mark.parametrize(
    ("cls", "bad"),
    [
        (ml.Pinball, (0.0, 1.0, -1.0, np.nan)), (ml.Expectile, (0, 1, 2.0)), (ml.Huber, (0.0, -1, np.inf, np.nan)),
        (ml.Focal, (-0.1, np.inf)), (ml.Tweedie, (0.5, 0, np.nan, np.inf)), (ml.NegativeBinomial, (0.0, -2, np.inf)),
        (ml.Entmax, (0.99, np.inf, np.nan)),
    ],
)  # fmt: skip
def test_parameters_out_of_range(cls: Any, bad: tuple[float, ...]) -> None:
    for x in bad:
        with pytest.raises(DomainError, match="allowed"):
            cls(x)
    for x in ("1", None, True, 1j, [1.0]):
        with pytest.raises(TypeError):
            cls(x)


def test_names_and_repr() -> None:
    with pytest.raises(ValueError, match=r"'logistc'.*logistic"):
        ml.get("logistc")
    with pytest.raises(TypeError):
        ml.get("logistic", power=2)
    for loss in INSTANCES:
        again = eval(repr(loss), {**vars(ml)})  # the repr is the constructor
        assert again == loss and hash(again) == hash(loss)
        with pytest.raises(AttributeError):
            loss.name = "other"
        for alias in type(loss).aliases:
            assert type(ml.get(alias)) is type(loss)


@pytest.mark.parametrize("loss", POINTWISE, ids=label)
def test_links_and_predictions_outside_their_domain(loss: Any) -> None:
    if loss.name == "hinge":
        with pytest.raises(NotImplementedError, match="no link"):
            loss.link(0.5)
        return
    if loss.family == "binary":
        with pytest.raises(DomainError, match=r"prediction\[1\] is 1\.5"):
            loss.link([0.5, 1.5])
    elif loss.family == "positive":
        with pytest.raises(DomainError, match=r"prediction\[1\] is -1\.0"):
            loss.link([0.5, -1.0])
    assert np.isnan(loss.predict(np.nan))


def test_integers_and_booleans_become_float64() -> None:
    for n in (3, 2000):
        e = ml.Logistic().evaluate(np.arange(n) % 3, np.arange(n) % 2 == 0)
        assert e.value.dtype == np.float64 == e.gradient.dtype
        np.testing.assert_array_equal(e.value, ml.Logistic().value(np.arange(n) % 3 * 1.0, (np.arange(n) % 2 == 0) * 1.0))


@pytest.mark.parametrize(
    ("predict", "message"),
    [(lambda m, raw: -raw, "decreases"), (lambda m, raw: 0 * raw, "constant"), (lambda m, raw: m.log(raw), "not finite")],
)
def test_match_refuses_with_a_counterexample(predict: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"{message}.*raw|constant"):
        ml.match(predict)
    with pytest.raises(ValueError, match="slope"):
        ml.match(lambda m, raw: m.tanh(raw), potential=lambda m, raw: raw * raw)

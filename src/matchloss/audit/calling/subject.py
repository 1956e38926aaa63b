"""A function under audit, as the checks see it: its calls, rows to try, and findings with code that shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.calls import CLASSES, FAILS, PAD, Calls, Malformed, Numbers, Raised, silence
from matchloss.audit.calling.frameworks import literal
from matchloss.audit.finding import Finding

__all__ = ["CLASSES", "FAILS", "PAD", "Malformed", "Raised", "Subject", "silence", "usual"]


@dataclass
class Subject(Calls):
    """What checks may ask of a function, besides calling it."""

    def fresh(self) -> Subject:
        """The same with its chance at the start: what a check finds does not depend on which ran before."""
        return replace(self)

    # --- rows to try ------------------------------------------------------------------------------------------------------------

    def targets(self) -> Numbers:
        """The targets that an ordinary data set has: a few numbers, or each label."""
        return {
            "regression": np.array([0.0, 1.5, -0.375]), "binary": np.array([0.0, 1.0]), "count": np.array([0.0, 1.0, 3.0]),
            "positive": np.array([0.375, 1.0, 3.0]), "multiclass": np.arange(CLASSES),
        }[self.kind]  # fmt: skip

    def ordinary(self, n: int = 24) -> tuple[Numbers, NDArray[Any]]:
        """n ordinary rows: raw predictions about 1 in size (in the function's own space), and hard targets."""
        y = np.resize(self.targets(), n)
        return self.at(self.rng.normal(size=(n, CLASSES) if self.classes else n).round(3) * 1.5), y

    def distributions(self, n: int) -> Numbers:
        """n distributions over the classes whose entries are multiples of 1/64: exact in every dtype, and so are their sums."""
        p = np.floor(64 * self.rng.dirichlet(np.ones(CLASSES), size=n))
        p[:, 0] += 64 - p.sum(axis=1)
        return p / 64

    def at(self, raw: Any) -> Numbers:
        """Raw predictions in the function's own space, by the usual link of the kind: identity, sigmoid, exp, softmax."""
        raw = np.asarray(raw, dtype=np.float64)
        if self.convention.input == "raw":
            return raw
        prediction = usual(self.kind, raw)
        return prediction if self.convention.input == "prediction" else np.log(prediction)

    def predict(self, x: Any) -> Numbers:
        """Predictions in the target's own units: by the loss's own link where it is known, else by the kind's usual one."""
        x = np.asarray(x, dtype=np.float64)
        if self.convention.input != "raw":
            return x if self.convention.input == "prediction" else np.exp(x)
        with silence():
            if self.callee.predict is not None:
                return np.asarray(self.callee.predict(x), dtype=np.float64)
            if self.member is not None:
                return np.asarray(self.member.loss.predict(x), dtype=np.float64)
        return usual(self.kind, x)

    def round(self, x: Any, dtype: str) -> Numbers:
        """The nearest numbers of the dtype."""
        return self.framework.round(np.asarray(x, dtype=np.float64), dtype)

    # --- findings ---------------------------------------------------------------------------------------------------------------

    def finding(
        self, severity: str, message: str, *, x: Any = None, y: Any = None, dtype: str = "float64", show: str = "value",
        got: Any = None, expected: Any = None, code: list[str] | None = None, options: dict[str, Any] | None = None, cause: str = "",
        **more: Any,
    ) -> Finding:  # fmt: skip
        """A finding with its counterexample and snippet. x, y: one row or a few; show: "value", "gradient" or "hessian", or `code`,
        lines that come after `x = ...` and `y = ...`. options: keywords of the call, NumPy arrays or plain values."""
        target = None if y is None else self.encode(y)
        ends = {"prediction": x, "target": target, "dtype": None if dtype == "float64" else dtype}, {"got": got, "right": expected}
        first, last = ({k: v for k, v in part.items() if v is not None} for part in ends)
        example = {k: plain(v) for k, v in {**first, **(options or {}), **more, **last}.items()}
        snippet = "" if x is None else self.snippet(x, y, dtype, show, got, expected, code, options)
        return Finding("", severity, message, example, snippet, cause=cause)

    def snippet(
        self, x: Any, y: Any, dtype: str, show: str, got: Any = None, expected: Any = None, code: list[str] | None = None,
        options: dict[str, Any] | None = None,
    ) -> str:  # fmt: skip
        """Python that runs and shows it."""
        f = self.framework
        if self.anchor is not None:  # it takes no single row
            ax, ay = self.anchor
            x, y = np.concatenate([ax, np.atleast_2d(x) if self.classes else np.atleast_1d(x)]), np.concatenate([ay, np.atleast_1d(y)])
        t = np.atleast_1d(self.encode(np.atleast_1d(y)))
        kept = self.target_dtype(t, dtype)
        x = self.lay(np.atleast_2d(x) if self.classes else np.atleast_1d(x))
        t = self.lay(np.atleast_2d(t) if self.classes and np.ndim(y) == 2 else t)
        empty = "" if len(x) or x.ndim < 2 else f".reshape({x.shape})"
        lines = [f.imports] if f.name != "jax" or dtype != "float64" else [f.imports, 'jax.config.update("jax_enable_x64", True)']
        lines += [self.callee.setup or "# fn is the function that was audited", ""]
        own = show == "gradient" and self.callee.gradient is None
        as_y = f.code(t.astype(int) if kept.startswith("int") else t, kept) + (f".reshape({t.shape})" if empty and t.ndim > 1 else "")
        lines += [f"x = {f.code(x, dtype, own and f.name == 'torch')}{empty}", f"y = {as_y}"]
        others = {"number": "1.0", "classes": str(CLASSES), "identity": f.code(np.eye(CLASSES), dtype)}
        lines += [f"z{i} = {others.get(o, f.code(self.lay(np.ones(len(x))), dtype))}" for i, o in enumerate(self.convention.others)]
        if code is not None:
            return "\n".join([*lines, *code])
        lines += self._shown(x, show, dtype, options or {})
        if got is not None:
            lines.append(f"# {literal(got)}" + ("" if expected is None else f"; right: {literal(expected)}"))
        return "\n".join(lines)

    def quote(self, options: dict[str, Any] | None = None, dtype: str = "float64", method: str = "", reduction: str | None = "none") -> str:
        """The call of x and y as Python."""
        quoted = {k: self.framework.code(v, dtype) if isinstance(v, np.ndarray) else repr(v) for k, v in (options or {}).items()}
        if reduction is not None and self.convention.reduction_argument and not method:
            quoted.setdefault(self.convention.reduction_argument, repr(reduction))
        names = [f"z{i}" for i in range(len(self.convention.others))]
        return self.callee.quote(self.place("x", "y", names), quoted, method)

    def _shown(self, x: Any, show: str, dtype: str, options: dict[str, Any]) -> list[str]:
        c, n, call = self.convention, len(x), self.quote(options, dtype)
        if show != "value" and getattr(self.callee, show) is not None:
            return [f"print({self.quote(options, dtype, show)})"]
        if show == "gradient":
            rows = c.reduction == "mean" and not c.reduction_argument and self.anchor is None and n > 1
            return [line.format(f"({n} * {call})" if rows else call) for line in self.framework.gradient_code]
        if show == "hessian":
            return [self.framework.hessian_code.format(call)]
        return [f"print({'-' if c.sign < 0 else ''}{call})"]  # a score's loss


def usual(kind: str, raw: Numbers) -> Numbers:
    """Predictions by the usual link of the kind."""
    with np.errstate(all="ignore"):
        if kind == "binary":
            return np.exp(-np.logaddexp(0.0, -raw))
        if kind in ("count", "positive"):
            return np.exp(raw)
        if kind == "multiclass":
            e = np.exp(raw - raw.max(axis=-1, keepdims=True))
            return e / e.sum(axis=-1, keepdims=True)
        return raw


def plain(x: Any) -> Any:
    """As numbers, text and lists, so that it travels and can be compared."""
    if isinstance(x, np.ndarray | np.generic):
        x = x.tolist()
    if isinstance(x, float):
        return math.nan if math.isnan(x) else float(x)  # the one NaN that equals itself inside a list
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    return x if x is None or isinstance(x, bool | int | str) else str(x)

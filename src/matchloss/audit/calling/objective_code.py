"""Python that calls an objective as its host does, to be copied and run."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from matchloss.audit.calling.adapt import import_text
from matchloss.audit.calling.objectives import LIGHTGBM, NAMES, Boosted

Array = NDArray[Any]


def snippet(b: Boosted, raw: Array, target: Array, weight: Array | None = None) -> str:
    """Prints the gradient and the hessian of these rows; of several classes as the host reads them."""
    methods = b.form in ("range", "multi")
    setup = import_text(type(b.fn) if methods else b.fn)
    imports = ["from types import SimpleNamespace", ""] * (b.form == "preds, data")
    order = ', order="F"' if b.host == LIGHTGBM and b.classes else ""
    lines = [*imports, "import numpy as np", setup or "# fn is the function that was audited", ""]
    lines += [f"raw = np.array({raw.tolist()}{order})", f"target = np.array({target.tolist()})"]
    none = "np.array([])" if weight is None else f"np.array({weight.tolist()})"
    if b.form == "preds, data":
        lines.append(f"data = SimpleNamespace(get_label=lambda: target, get_weight=lambda: {none})")
    own = f"fn{'()' if setup else ''}"
    names = {"preds": "raw", "weight": f"np.ones({len(target)})" if weight is None else none, "group": f"np.array([{len(target)}])"}
    calls = {
        "range": f"{own}.calc_ders_range(raw, target, {'None' if weight is None else none})",
        "multi": f"{own}.calc_ders_multi(raw[0], target[0], {'None' if weight is None else f'{weight[0]!r}'})",
    }
    called = calls.get(b.form) or f"fn({', '.join(names.get(name, name) for name in b.form.split(', '))})"
    if not b.classes or methods:
        return "\n".join([*lines, f"print({called})"])
    read = f"print(np.reshape(fn_gradient, raw.shape{order}).round(3))  # as {NAMES[b.host]} reads it: below 0 where the label is"
    return "\n".join([*lines, f"fn_gradient = {called}[0]", read])

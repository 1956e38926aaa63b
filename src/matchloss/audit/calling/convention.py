"""How a loss wants to be called: what it takes, in which order, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("regression", "binary", "multiclass", "count", "positive")
CHOICES: dict[str, tuple[str, ...]] = {
    "kind": (*KINDS, "structured"),
    "framework": ("numpy", "torch", "jax"),
    "order": ("prediction, target", "target, prediction"),
    "input": ("raw", "prediction", "log_prediction"),  # prediction: in the target's own units, a probability or a mean
    "target": ("numbers", "labels", "signs", "distributions", "labels or distributions"),  # signs: -1 and 1
    "reduction": ("none", "mean", "sum"),
    "sign": (1, -1),  # type: ignore[dict-item]
    "layout": ("rows", "N,1", "N,C,L", "N,C,H,W", "N,L,C", "N,H,W,C"),  # rows: (N,), or (N, C) of classes
    "host": ("", "xgboost", "lightgbm", "catboost"),
    "structure": ("", "ctc", "crf", "cox", "lists", "pairs", "batch"),
}
LAYOUTS = {  # how many axes stand before and after that of the classes
    "rows": (0, 0), "N,1": (0, 1), "N,C,L": (0, 1), "N,C,H,W": (0, 2), "N,L,C": (1, 0), "N,H,W,C": (2, 0),
}  # fmt: skip
OTHERS = {  # further arguments
    "positive": "a positive number a row", "identity": "the weight of a layer", "number": "a number", "classes": "the number of classes",
}  # fmt: skip


@dataclass(frozen=True)
class Convention:
    """How a function is called. Recognised by probing; any part can be given to `audit` by its name.

    kind: "regression" (any number), "binary" (0 or 1), "multiclass" (one of K), "count" (0, 1, 2, ...), "positive", "structured" (a
    sequence, a list, a risk set or pairs).
    """

    kind: str
    framework: str = "numpy"
    order: str = "prediction, target"
    input: str = "raw"
    target: str = "numbers"
    reduction: str = "none"  # of a plain call: a value a row, their mean or their sum
    reduction_argument: str | None = None  # the keyword that changes it, to "none" among others
    sign: int = 1  # -1: a score, of which more is better
    weight_argument: str | None = None  # the keyword of a weight a row
    class_weight_argument: str | None = None  # the keyword of a weight a class
    ignore_argument: str | None = None  # the keyword of a label to be ignored
    others: tuple[str, ...] = ()  # further arguments without a default, of OTHERS
    layout: str = "rows"  # the axes of predictions; targets have the same, labels of classes all but C
    part: str = ""  # of what is returned, as Python after the call: "[0]" of a tuple, "['loss']" of a dict
    host: str = ""  # of a booster's objective: "xgboost", "lightgbm" or "catboost"
    objective: str = ""  # its shape, such as "preds, data"; empty: a loss
    structure: str = ""  # of kind "structured": what it is a loss of

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(map(repr, allowed))}")

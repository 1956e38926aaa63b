"""Losses of sequences, risk sets, lists and pairs, which no single row describes: told by the names of their arguments, and called."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchloss.audit.calling.adapt import Callee, callee_of
from matchloss.audit.calling.calls import Raised, silence
from matchloss.audit.calling.frameworks import Framework, framework

Array = NDArray[Any]
Group = dict[str, Array]  # a sequence, a list, the rows of a risk set, or the pairs of a batch: arrays by role

MAY, TAGS, PADDED = "may", 4, -1.0
FORMS = {  # what arguments are called, by role; those after MAY need not be there
    "ctc": {
        "raw": r"log_?prob\w*|logits?|inputs?|y_pred|acts", "tags": "targets?|labels|y_true|transcripts",
        "frames": "(input|logit|log_?prob|frame|act)s?_?(lengths?|lens?|paddings?)", "said": "(target|label)s?_?(lengths?|lens?|paddings?)",
    },
    "crf": {
        "raw": r"emissions?|unar\w+|inputs?|logits|feats?|features", "tags": "tags?|tag_ids|tag_indices", MAY: "", "mask": "masks?",
        "lengths": r"(seq\w*_)?(lengths?|lens)", "transitions": r"trans\w*", "start": r"start\w*", "end": r"(end|stop)\w*",
    },
    "cox": {
        "raw": r"log_?hz|log_?h(azards?)?|(log_)?risks?(_scores?)?|hazards?|eta|theta|y_pred|preds?|predictions?|scores?|estimates?",
        "time": "(survival_|event_)?times?|durations?|tte|t", "event": "events?(_observed)?|status|died|deaths?|observed|e",
    },
    "lists": {
        "raw": "scores?|logits|y_pred|preds?|predictions?|inputs?", MAY: "",
        "relevance": "relevances?|rels?|gains?|labels?|y_true|targets?",
        "indptr": "indptr", "order": "order", "mask": "masks?", "padding": r"pad\w*_value\w*",
    },
    "pairs": {
        "raw": r"image_(features|embed\w*)|quer(y|ies)|anchors?|z_?1",
        "other": r"text_(features|embed\w*)|positives?|positive_keys?|keys?|z_?2",
        MAY: "", "scale": "(logit_)?scale", "bias": "(logit_)?bias",
    },
}  # fmt: skip
RANKS = re.compile(r"list_?(mle|net|wise)|lambda_?(loss|rank)|rank_?net|ndcg|plackett", re.I)  # scores and labels alone are of rows


@dataclass(frozen=True, eq=False)
class Structure:
    """A function of a structure, its values summed, with the sign of a loss. Arguments are NumPy's, by role."""

    callee: Callee
    form: str  # of FORMS
    names: Mapping[str, str]  # by role, what the arguments are called
    framework: Framework
    event: str = "bool"  # the dtype that events have
    sign: int = 1
    seed: int = 0
    time_first: bool = False
    logs: bool = False  # scores are log-probabilities

    @property
    def several(self) -> bool:
        """Whether one call takes several groups; in an array that is padded, where `padded`."""
        return self.form in ("ctc", "crf", "lists")

    @property
    def padded(self) -> bool:  # noqa: D102
        return self.several and bool({"frames", "mask", "lengths", "padding"} & set(self.names))

    def draw(self, scale: float = 1.0, seed: int = 0, ties: bool = False) -> list[Group]:
        """Ordinary groups: three, or the one that a call takes."""
        rng = np.random.default_rng([self.seed, seed])
        if self.form == "cox":
            time, event = rng.permutation(12) + 1.0, (rng.permutation(12) < 8) * 1.0
            return [{"raw": (scale * rng.normal(size=12)).round(3), "time": np.ceil(time / 3) if ties else time, "event": event}]
        if self.form == "pairs":
            both = rng.normal(size=(2, 6, TAGS)) + rng.normal(size=(6, TAGS))
            return [dict(zip(("raw", "other"), (both / np.linalg.norm(both, axis=2, keepdims=True)).round(3), strict=True))]
        sizes = (6, 4, 5) if self.padded or "indptr" in self.names else (5, 5, 5)
        if self.form == "lists":
            return [{"raw": (scale * rng.normal(size=n)).round(3), "relevance": rng.permutation(n) * 1.0} for n in sizes]
        z = [scale * rng.normal(size=(n, TAGS)) for n in sizes]
        spoken = (3, 1, 2) if self.form == "ctc" else sizes
        z = [x - np.logaddexp.reduce(x, axis=1, keepdims=True) if self.logs else x for x in z]
        return [{"raw": x.round(3), "tags": rng.integers(1, TAGS, n)} for x, n in zip(z, spoken, strict=True)]

    def given(self, groups: Sequence[Group], fill: float = 0.0, more: int = 0) -> Group:
        """The arguments for groups side by side, `fill` in padding, of which there are `more` places than are needed."""
        rng, one = np.random.default_rng(self.seed), {"scale": np.array(5.0), "bias": np.array(-2.0), "padding": np.array(PADDED)}
        one |= {"transitions": rng.normal(size=(TAGS, TAGS)), "start": rng.normal(size=TAGS), "end": rng.normal(size=TAGS)}
        if not self.several:
            return groups[0] | one
        made = {role: [g[role] for g in groups] for role in groups[0]}
        if "order" in self.names:
            made["order"] = [np.argsort(-r, kind="stable") for r in made["relevance"]]
        if "indptr" in self.names:
            return {role: np.concatenate(x) for role, x in made.items()} | {"indptr": np.cumsum([0, *map(len, made["raw"])])}
        fills = {"tags": 1 if fill else 0, "relevance": PADDED if "padding" in self.names else fill}
        out = {role: stacked(x, fills.get(role, fill), more) for role, x in made.items()} | one
        heard, said = (stacked([np.ones(len(x), bool) for x in made[r]], False, more) for r in ("raw", "tags" if "tags" in made else "raw"))
        out |= {"mask": heard, "lengths": heard.sum(1), "frames": heard.sum(1), "said": said.sum(1)}
        if "padding" in self.names.get("frames", ""):  # optax: 1 in padding
            out |= {"frames": 1.0 - heard, "said": 1.0 - said}
        swapped = {"ctc": ("raw",), "crf": ("raw", "tags", "mask")}.get(self.form, ()) if self.time_first else ()
        return out | {role: np.swapaxes(out[role], 0, 1) for role in swapped}

    def arrays(self, given: Group, dtype: str = "float64") -> dict[str, Any]:
        """The framework's arrays, by what the arguments are called."""
        kinds = {role: "int64" for role, x in given.items() if x.dtype.kind == "i"} | {"mask": "bool", "event": self.event}
        held = {role: given[role] for role in self.names}
        made = {r: x.item() if x.ndim == 0 else self.framework.array(x, kinds.get(r, dtype)) for r, x in held.items()}
        return {name: made[role] for role, name in self.names.items()}

    def value(self, given: Group, dtype: str = "float64") -> float:
        """The sum of what it returns."""
        return self.sign * float(self.framework.numbers(self.run(lambda: self.callee.call(**self.arrays(given, dtype)))).sum())

    def gradient(self, given: Group, dtype: str = "float64") -> Array:
        """Of that sum, in the scores."""
        arrays, name = self.arrays(given, dtype), self.names["raw"]
        raw = arrays.pop(name)
        found = self.run(lambda: self.framework.gradient(lambda z: self.callee.call(**{name: z}, **arrays).sum(), raw))
        return self.sign * self.framework.numbers(found)

    def run(self, call: Callable[[], Any]) -> Any:
        """A call of the function; Raised for what it raises."""
        try:
            with silence(), self.framework.context():
                return call()
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            raise Raised(error) from error


def stacked(parts: Sequence[Array], fill: float, more: int = 0) -> Array:
    """Arrays of different lengths as rows of one, `fill` behind them."""
    longest = max(map(len, parts)) + more
    return np.stack([np.concatenate([p, np.full((longest - len(p), *p.shape[1:]), fill, p.dtype)]) for p in parts])


def structure_of(fn: Any, form: str = "", loaded: Sequence[str] = (), seed: int = 0) -> Structure | None:
    """The loss of a structure that a function is; None where it is none. form: of FORMS, where a person says it."""
    try:
        if isinstance(fn, type) and hasattr(fn, "forward"):
            fn = fn(**{n: TAGS for n in ("num_tags",) if n in inspect.signature(fn).parameters})
        parameters = inspect.signature(getattr(fn, "forward", fn)).parameters.values()
    except (TypeError, ValueError):
        return None
    required = {p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    called = getattr(fn, "__name__", type(fn).__name__)
    for name in [form] if form else FORMS:
        roles = _roles(FORMS[name], [p.name for p in parameters])
        ranks = form or "indptr" in roles or RANKS.search(called) or roles.get("relevance", "").lower().startswith(("rel", "gain"))
        if not roles or not required <= set(roles.values()) or (name == "lists" and not ranks):
            continue
        logs, module = roles["raw"].lower().startswith("log_"), hasattr(fn, "register_forward_hook")
        first = not getattr(fn, "batch_first", not module) if name == "crf" else name == "ctc" and "padding" not in roles["frames"]
        for library in ("torch",) if module else (*loaded, "numpy"):
            for event in ("bool", "float64") if name == "cox" else ("bool",):
                tried = Structure(callee_of(fn), name, roles, framework(library), event, 1, seed, first, logs and name == "ctc")
                if sign := _sign(tried):
                    return replace(tried, sign=sign)
    return None


def _roles(patterns: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """The arguments by role; none where one is missing that must be there."""
    found: dict[str, str] = {}
    must = True
    for role, pattern in patterns.items():
        must = must and role != MAY
        name = next((n for n in names if n not in found.values() and re.fullmatch(pattern, n, re.I)), None)
        if name is not None:
            found[role] = name
        elif must:
            return {}
    return found


def _sign(tried: Structure) -> int:
    """Of a call that answers with numbers, one for all or one a group, -1 where they are log likelihoods; else 0."""
    given = tried.given(tried.draw())
    try:
        out = tried.run(lambda: tried.callee.call(**tried.arrays(given)))
        found = tried.framework.numbers(out)
    except (Raised, TypeError, ValueError):
        return 0
    if not tried.framework.owns(out) or not np.isfinite(found).all() or found.size not in (1, len(tried.draw())):
        return 0
    return -1 if found.sum() < 0 and tried.form in ("ctc", "crf", "cox") else 1

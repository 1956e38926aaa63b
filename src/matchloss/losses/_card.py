"""A loss on a card: what is to be said of it, and in a notebook its curve and error signal."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matchloss.losses._loss import Loss

WIDTH, HEIGHT = 420, 200  # of the picture
POINTS = 161
REACH = 4.0  # raw outputs on either side of the right one
PLACE = "display: block; max-width: 100%; margin: 6px 0 2px"
FACT = "padding: 1px 12px 1px 0; text-align: left; vertical-align: top"


def facts(loss: Loss) -> dict[str, str]:
    """What a card says of a loss, by name; an empty text where there is nothing to say."""
    return {
        "formula": loss.equation,
        "derivative": loss.error_signal,
        "link": loss.link_name,
        "output minus wanted": _yes(loss.matching),
        "zero only when right (iff)": _yes(loss.zero_iff_right),
        "linear in the target": _yes(loss.linear_in_target),
        "convex": _yes(loss.convex),
        "proper": _yes(loss.proper),
        "aims at (elicits)": str(loss.functional),
        "targets": str(loss.target_domain),
        "parameters": ", ".join(f"{name} = {value:g}" for name, value in loss.parameters.items()),
        "also called": ", ".join(f"{name}{_times(loss, name)}" for name in loss.aliases),
        "sources": "; ".join(loss.sources),
    }


def card_html(loss: Loss) -> str:
    """The card as HTML with a picture of its own, which needs no network: for notebooks."""
    said = [(escape(name), escape(fact)) for name, fact in facts(loss).items() if fact]
    rows = "".join(f'<tr><th style="{FACT}">{name}</th><td style="{FACT}">{fact}</td></tr>' for name, fact in said)
    return f"<div><strong>{escape(loss.title)}</strong> <code>{escape(repr(loss))}</code>{_picture(loss)}<table>{rows}</table></div>"


def _picture(loss: Loss) -> str:
    """The loss, solid, and its error signal, dashed, against the raw output where one target was wanted."""
    raw, target, shown = _curve_of(loss)
    with np.errstate(all="ignore"):
        curves = np.stack([np.asarray(loss.divergence(raw, target)), _first(np.asarray(loss.gradient(raw, target)))])
    known = np.isfinite(curves)
    low, high = min(0.0, float(curves[known].min())), min(float(curves[known].max()), 3 * REACH)
    unit = (high - low) or 1.0
    x = np.linspace(0, WIDTH, POINTS)
    y = HEIGHT * (high - np.clip(np.where(known, curves, high), low, high)) / unit
    points = [" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, line, strict=True)) for line in y]
    pen = 'fill="none" stroke="currentColor" stroke-width'
    zero = f'<path d="M0,{HEIGHT * high / unit:.1f} h{WIDTH}" {pen}="0.5"/>'
    lines = f'<polyline {pen}="1.5" points="{points[0]}"/><polyline {pen}="1.5" stroke-dasharray="5 4" points="{points[1]}"/>'
    ends = _first(raw)
    said = f"loss (solid) and error signal (dashed) at a target of {shown}, for raw outputs from {ends[0]:.3g} to {ends[-1]:.3g}"
    frame = f'style="{PLACE}" width="{WIDTH}" viewBox="0 -4 {WIDTH} {HEIGHT + 8}" role="img" aria-label="{said}"'
    return f"<svg {frame}>{zero}{lines}</svg><small>{said}</small>"


def _curve_of(loss: Loss) -> tuple[NDArray[np.float64], NDArray[np.generic], str]:
    """Raw outputs around the right one, and the target: of two classes the first, else 1, or 0 where numbers have no lower end."""
    steps = np.linspace(-REACH, REACH, POINTS)
    if loss.family == "simplex":
        return np.stack([steps, np.zeros(POINTS)], axis=1), np.zeros(POINTS, np.int64), "the first of two classes"
    target = 0.0 if loss.family == "regression" else 1.0
    if target not in loss.target_domain:
        target = float(loss.predict(0.0))
    right = float(loss.link(target)) if loss.family != "binary" else 0.0
    return (right if np.isfinite(right) else 0.0) + steps, np.full(POINTS, target), f"{target:g}"


def _first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[:, 0] if values.ndim == 2 else values


def _times(loss: Loss, name: str) -> str:
    factor = loss.factors.get(name)
    return f" ({factor:g} times this)" if factor else ""


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"

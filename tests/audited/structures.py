"""Losses of structures: our own versions of errors that people published, and of what should not be accused."""

from __future__ import annotations

from typing import Any

import torch

Tensor = torch.Tensor


def list_mle(scores: Tensor, relevance: Tensor, mask: Tensor) -> Tensor:
    """Sound: padding is as good as absent."""
    place = torch.where(mask, relevance, -torch.inf).argsort(dim=1, descending=True)
    z, inside = scores.gather(1, place), mask.gather(1, place)
    left = torch.where(inside, z, -torch.inf).flip(1).logcumsumexp(1).flip(1)
    return torch.where(inside, left - z, 0.0).sum(1)


def list_mle_with_padding(scores: Tensor, relevance: Tensor, mask: Tensor) -> Tensor:
    """sentence-transformers#3827: padded scores are set to nearly 0, and e^0 = 1 enters each sum."""
    place = torch.where(mask, relevance, -torch.inf).argsort(dim=1, descending=True)
    z, inside = torch.where(mask, scores, 1e-16).gather(1, place), mask.gather(1, place)
    left = z.exp().flip(1).cumsum(1).flip(1).log()
    return torch.where(inside, left - z, 0.0).sum(1)


def list_mle_by_padded_value(y_pred: Tensor, y_true: Tensor, padded_value_indicator: float = -1.0) -> Tensor:
    """Sound, in allRank's way of saying what is padding."""
    return list_mle(y_pred, y_true, y_true != padded_value_indicator).mean()


def cox_by_order(log_risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """The usual error of ties: who comes later in the sorted array is at risk, also among equal times."""
    order = time.argsort(descending=True, stable=True)
    z, died = log_risk[order], event[order].double()
    return ((z.logcumsumexp(0) - z) * died).sum() / died.sum()


def cox_without_the_tied(risk: Tensor, durations: Tensor, events: Tensor) -> Tensor:
    """Who dies at the same time is not at risk: no method of ties does so."""
    later = (durations[None] > durations[:, None]) | torch.eye(len(risk), dtype=torch.bool)
    left = torch.where(later, risk[None], -torch.inf).logsumexp(1)
    return ((left - risk) * events).sum()


def breslow(y_pred: Tensor, t: Tensor, e: Tensor) -> Tensor:
    """Sound, in units of the mean over events."""
    later = t[None] >= t[:, None]
    left = torch.where(later, y_pred[None], -torch.inf).logsumexp(1)
    return ((left - y_pred) * e).sum() / e.sum()


def breslow_in_float32(log_hz: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Sound, in units of the mean over times; it computes in float32 whatever it is given."""
    return breslow(log_hz.float(), time.float(), event).double() * event.sum() / time[event.bool()].unique().numel()


def ctc_in_probabilities(logits: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
    """float32 probabilities of whole alignments underflow."""
    p, total = logits.softmax(2), []
    for n, (frames, said) in enumerate(zip(input_lengths.tolist(), target_lengths.tolist(), strict=True)):
        word = [0, *(x for k in targets[n, :said].tolist() for x in (k, 0))]
        alpha = torch.zeros(len(word), dtype=p.dtype)
        alpha[0] = 1.0
        start = True
        for t in range(frames):
            moved = []
            for s, label in enumerate(word):
                before = alpha[s] + (alpha[s - 1] if s else 0.0)
                if s > 1 and label and label != word[s - 2]:
                    before = before + alpha[s - 2]
                before = torch.tensor(float(s < 2), dtype=p.dtype) if start else before
                moved.append(before * p[t, n, label])
            alpha, start = torch.stack(moved), False
        total.append(-(alpha[-1] + alpha[-2]).log())
    return torch.stack(total)


class SlackCRF(torch.nn.Module):
    """Padding enters the score of the tags, and not log Z."""

    def __init__(self, num_tags: int) -> None:
        super().__init__()
        self.num_tags = num_tags
        self.transitions = torch.nn.Parameter(torch.zeros(num_tags, num_tags, dtype=torch.float64))

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """The log likelihood."""
        score = emissions.gather(2, tags[..., None]).squeeze(2).sum(0)
        alpha = emissions[0]
        for t in range(1, len(emissions)):
            moved = (alpha[..., None] + self.transitions).logsumexp(1) + emissions[t]
            alpha = torch.where(mask[t, :, None], moved, alpha)
        return score - alpha.logsumexp(1)


def info_nce_one_way(anchor: Tensor, positive: Tensor) -> Tensor:
    """Sound."""
    logits = 5 * anchor @ positive.T
    return (logits.logsumexp(1) - logits.diagonal()).mean()


def info_nce_of_neighbours(anchor: Tensor, positive: Tensor) -> Tensor:
    """An index that is off by one: each row is compared with the next one's positive."""
    logits = 5 * anchor @ positive.T
    return (logits.logsumexp(1) - logits.diagonal(1).sum() / len(logits)).mean() + logits[0, 0]


PLANTED: dict[Any, tuple[str, str]] = {  # the check, and what is said
    list_mle_with_padding: ("invariance", "padding enters"),
    cox_by_order: ("invariance", "the order of rows"),
    cox_without_the_tied: ("accuracy", "with equal times"),
    ctc_in_probabilities: ("finite", "not finite"),
    SlackCRF(4): ("invariance", "what stands in padding"),
    info_nce_of_neighbours: ("invariance", "the order of pairs"),
}
SOUND: tuple[Any, ...] = (list_mle, list_mle_by_padded_value, breslow, breslow_in_float32, info_nce_one_way)

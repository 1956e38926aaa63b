"""A student learns from a teacher over thousands of classes: from stored labels that the teacher drew, from its whole
distributions, and from its most likely classes.

Stored labels are a few numbers a row, and unbiased: the plain cross entropy at a drawn label has the gradient of the cross entropy at
the whole distribution in the mean. The most likely classes take more memory and are biased: what is cut off is taught to be impossible.
Run it: python examples/distill.py
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from matchloss.torch import cross_entropy, sample_targets


@dataclass(frozen=True)
class Result:
    """What a student learned, on new rows."""

    target: str
    megabytes: float  # of the stored targets
    agreement: float  # how often its first choice is the teacher's
    divergence: float  # Kullback and Leibler's, of the teacher from it, in nats
    sure: float  # the probability of its first choice, on average
    right: float  # how often a label that the teacher draws is that choice: the same, if it is calibrated


def teacher(features: Tensor, classes: int, seed: int) -> Tensor:
    """Distributions over the classes: common and rare ones, few of them certain."""
    g = torch.Generator().manual_seed(seed)
    direction = torch.randn(classes, features.shape[1], generator=g) / features.shape[1] ** 0.5
    rank = torch.randperm(classes, generator=g) + 1.0
    return torch.softmax(2.0 * features @ direction.T - 0.7 * rank.log(), dim=1)


def train(features: Tensor, classes: int, epochs: int, batch: int, loss_of) -> nn.Module:
    """A linear student; loss_of(logits, rows, epoch) is what it minimises."""
    torch.manual_seed(0)
    student = nn.Linear(features.shape[1], classes)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    steps = epochs * -(-len(features) // batch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    for epoch in range(epochs):
        for rows in torch.randperm(len(features)).split(batch):
            optimizer.zero_grad()
            loss_of(student(features[rows]), rows, epoch).backward()
            optimizer.step()
            schedule.step()
    return student


def judge(name: str, stored: tuple[Tensor, ...], student: nn.Module, features: Tensor, truth: Tensor) -> Result:
    """The student on rows that it has not seen."""
    with torch.no_grad():
        log_p = torch.log_softmax(student(features), dim=1)
    sure, choice = log_p.exp().max(dim=1)
    divergence = torch.xlogy(truth, truth).sum(1) - (truth * log_p).sum(1)
    return Result(
        name,
        sum(t.numel() * t.element_size() for t in stored) / 1e6,
        (choice == truth.argmax(dim=1)).double().mean().item(),
        divergence.mean().item(),
        sure.mean().item(),
        truth.gather(1, choice[:, None]).mean().item(),
    )


def compare(rows: int = 16_000, classes: int = 1200, width: int = 24, m: int = 16, epochs: int = 16, batch: int = 500) -> list[Result]:
    """The three students, alike in everything but their targets."""
    g = torch.Generator().manual_seed(1)
    features, new = torch.randn(rows, width, generator=g), torch.randn(2000, width, generator=g)
    p, truth = teacher(features, classes, seed=2), teacher(new, classes, seed=2)

    drawn = sample_targets(p, m, generator=g).to(torch.int16)
    share, place = p.topk(m, dim=1)
    share, place = (share / share.sum(dim=1, keepdim=True)).half(), place.to(torch.int16)

    def at_all(logits: Tensor, rows: Tensor, epoch: int) -> Tensor:
        return cross_entropy(logits, p[rows])

    def at_drawn(logits: Tensor, rows: Tensor, epoch: int) -> Tensor:
        return cross_entropy(logits, drawn[rows, epoch % m].long())  # one label is enough: another each time

    def at_likely(logits: Tensor, rows: Tensor, epoch: int) -> Tensor:
        some = share[rows].float()
        return cross_entropy(logits, (place[rows].long(), some / some.sum(dim=1, keepdim=True)))

    kinds = (
        ("whole distributions", (p,), at_all),
        (f"{m} drawn labels", (drawn,), at_drawn),
        (f"{m} likeliest classes", (share, place), at_likely),
    )
    return [judge(name, stored, train(features, classes, epochs, batch, f), new, truth) for name, stored, f in kinds]


if __name__ == "__main__":
    print(f"{'targets':24} {'memory':>9} {'agrees':>8} {'divergence':>11} {'sure':>8} {'right':>8}")
    for r in compare():
        print(f"{r.target:24} {r.megabytes:6.1f} MB {r.agreement:7.1%} {r.divergence:11.3f} {r.sure:8.1%} {r.right:8.1%}")

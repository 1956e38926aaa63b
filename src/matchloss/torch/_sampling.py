"""Labels drawn from a teacher's distribution, to train on instead of the distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from matchloss.engine.row_targets import check_targets, sum_tolerance
from matchloss.errors import ShapeError
from matchloss.torch._plain import readable

CHUNK = 1 << 20  # probabilities whose running sums are held at a time (8 MB, which stay in cache)


def sample_targets(probabilities: Tensor, m: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """m labels per row, drawn with replacement, to train on instead of the distribution they come from.

    For a loss that is linear in its target (cross entropy and all simplex losses here), the expected loss at labels drawn from a
    distribution is the loss at the distribution, and the same holds for its gradients. So the mean over the m labels is unbiased, with
    1/m of the variance of one label. Stored labels take m integers per row instead of K floats.

    probabilities: (..., K), any floating dtype, rows that sum to 1. Returns int64 of shape (..., m): use it with plain cross entropy, for
    example of `logits.unsqueeze(-2).expand(..., m, K)`. `generator` makes the draw repeatable; it lives where the probabilities do.

    Raises DomainError for a row that is no distribution, ShapeError for a scalar or K = 0, ValueError for m < 1. Where values cannot be
    read (CUDA, tracing) such a row gets labels -1, which no loss accepts.

    >>> import torch
    >>> from matchloss.torch import sample_targets
    >>> teacher = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]])
    >>> labels = sample_targets(teacher, 4, generator=torch.Generator().manual_seed(0))
    >>> labels.shape, labels.dtype, int(labels[1].min())
    (torch.Size([2, 4]), torch.int64, 2)
    """
    if not isinstance(probabilities, Tensor) or not probabilities.is_floating_point():
        raise TypeError(
            f"probabilities must be a floating point tensor, not {getattr(probabilities, 'dtype', type(probabilities).__name__)}"
        )
    if probabilities.ndim == 0 or probabilities.shape[-1] == 0:
        raise ShapeError(f"probabilities have shape {tuple(probabilities.shape)}; rows (..., K) with at least one class are sampled")
    if isinstance(m, bool) or not isinstance(m, int) or m < 1:
        raise ValueError(f"m is {m!r}; it must be a whole number, 1 or more")
    p, classes = probabilities.detach(), probabilities.shape[-1]
    tolerance = sum_tolerance(p.dtype)
    flat = p.reshape(-1, classes)
    height = max(1, CHUNK // classes)
    drawn = [_drawn(flat[i : i + height], m, generator, tolerance) for i in range(0, max(1, flat.shape[0]), height)]
    labels = (drawn[0] if len(drawn) == 1 else torch.cat(drawn)).reshape(*p.shape[:-1], m)
    if readable(p) and labels.numel() and int(labels.min()) < 0:
        seen = (p.float() if p.dtype in (torch.bfloat16, torch.float16) else p).numpy()
        check_targets(seen, False, classes, None, tolerance)
    return labels


def _drawn(p: Tensor, m: int, generator: torch.Generator | None, tolerance: float) -> Tensor:
    """Inverts the running sum, in float64 because a float32 sum would lose unlikely classes."""
    wide = torch.float32 if p.device.type == "mps" else torch.float64
    reach = p.cumsum(-1, dtype=wide)
    total = reach[:, -1:]
    u = torch.rand(p.shape[0], m, dtype=wide, device=p.device, generator=generator) * total
    u = torch.minimum(u, torch.nextafter(total, torch.zeros_like(total)))  # the product may round up to the total, beyond every class
    labels = torch.searchsorted(reach, u, right=True)
    fine = (p.amin(-1, keepdim=True) >= 0) & ((total - 1).abs() <= tolerance)
    return torch.where(fine, labels, -1)

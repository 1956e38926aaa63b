"""Contrastive losses in PyTorch: value and all gradients in the forward pass, a block of logits at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from matchloss.losses.structured import CLIP, InfoNCE, SigLIP
from matchloss.losses.structured.contrastive import Contrastive
from matchloss.torch._plain import overridable
from matchloss.torch._structured import KERNELS, Array, Kernel, check_raw, key_of, reduced


def product(x: Array, y: Array, out: Array, add: bool = False) -> None:
    """out = x y, or out += x y, by PyTorch on as many threads as `torch.set_num_threads` allows."""
    torch.addmm(made := torch.from_numpy(out), torch.from_numpy(x), torch.from_numpy(y), beta=int(add), out=made)


class _InfoNCE(InfoNCE):
    product = staticmethod(product)


class _CLIP(CLIP):
    product = staticmethod(product)


class _SigLIP(SigLIP):
    product = staticmethod(product)


LOSSES: dict[str, Contrastive] = {loss.name: loss for loss in (_InfoNCE(), _CLIP(), _SigLIP())}


def _kernel(name: str) -> Kernel:
    def compute(raw: tuple[Array, ...], given: tuple[Array, ...], weight: Array, graded: bool) -> tuple[Array, tuple[Array, ...]]:
        return LOSSES[name].compute(raw, None, weight, graded)

    return Kernel(lambda raw, given: 1, compute, singles=True)


KERNELS["contrastive"] = _kernel


def _pairs(name: str, features: dict[str, Tensor], *numbers: Tensor | float) -> Tensor:
    check_raw(**features)
    a, b = features.values()
    raw = (a, b, *(x if isinstance(x, Tensor) else a.new_tensor(x) for x in numbers))
    return reduced(key_of("contrastive", name=name), raw, (), torch.ones(1, dtype=torch.float64), "sum")


@overridable
def info_nce_loss(query: Tensor, positive_key: Tensor, temperature: Tensor | float = 0.1) -> Tensor:
    """InfoNCE of N pairs: each query finds its own key among all, mean over queries, without the N x N matrix.

    query, positive_key (N, d), as they are: normalise them beforehand if you want cosines. Gradients in both and in temperature.
    DomainError for fewer than 2 pairs and for logits that are not finite. Source: van den Oord, Li and Vinyals (2018).

    >>> import torch
    >>> from matchloss.torch import info_nce_loss
    >>> info_nce_loss(torch.eye(2), torch.eye(2), temperature=0.01)        # log1p(e^-100)
    tensor(3.7835e-44)
    """
    return _pairs("info_nce", {"query": query, "positive_key": positive_key}, 1.0 / temperature)


@overridable
def clip_loss(image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float) -> Tensor:
    """CLIP's loss of N pairs, open_clip's `ClipLoss` on one device, without the N x N matrix.

    Features (N, d), as they are; logit_scale a number. Gradients in all three. Errors: `info_nce_loss`. Source: Radford et al. (2021).

    >>> import torch
    >>> from matchloss.torch import clip_loss
    >>> clip_loss(torch.eye(2), torch.eye(2), 0.0)
    tensor(0.6931)
    """
    return _pairs("clip", {"image_features": image_features, "text_features": text_features}, logit_scale)


@overridable
def siglip_loss(
    image_features: Tensor, text_features: Tensor, logit_scale: Tensor | float, logit_bias: Tensor | float | None = None
) -> Tensor:
    """SigLIP's loss of N pairs, open_clip's `SigLipLoss` on one device, without the N x N matrix.

    Features (N, d), as they are; logit_scale and logit_bias numbers, no bias if it is None; one pair is enough. Gradients in all.
    Errors: `info_nce_loss`. Source: Zhai et al. (2023).

    >>> import torch
    >>> from matchloss.torch import siglip_loss
    >>> siglip_loss(torch.eye(2), torch.eye(2), 0.0)
    tensor(1.3863)
    """
    return _pairs(
        "siglip", {"image_features": image_features, "text_features": text_features}, logit_scale, 0.0 if logit_bias is None else logit_bias
    )

"""A table of wrong inputs over all losses of structures in PyTorch: each is refused by an error of ours that names its own argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from matchloss.errors import DomainError, ShapeError
from matchloss.torch import (
    CRF,
    clip_loss,
    cox_loss,
    crf_decode,
    crf_loss,
    ctc_loss,
    ctc_loss_with_logits,
    info_nce_loss,
    list_mle_loss,
    plackett_luce_loss,
    siglip_loss,
)

T = torch.tensor
FRAMES, LABELS = torch.zeros(4, 2, 3), T([[1, 2], [2, 1]])
CHAIN = {"transitions": torch.zeros(2, 2), "start": torch.zeros(2), "end": torch.zeros(2)}
PATHS = {"emissions": torch.zeros(2, 3, 2), "tags": T([[0, 1, 1], [1, 0, 0]]), "lengths": T([3, 2]), **CHAIN}
ROWS = {"log_hz": torch.zeros(3), "event": T([1, 0, 1]), "time": T([1.0, 2.0, 3.0])}
LISTS = {"scores": torch.zeros(5), "indptr": T([0, 3, 5])}
SPOKEN = {"targets": LABELS, "input_lengths": T([4, 4]), "target_lengths": T([2, 1])}

RIGHT: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "ctc_loss": (ctc_loss, {"log_probs": FRAMES.log_softmax(-1), **SPOKEN}),
    "ctc_loss_with_logits": (ctc_loss_with_logits, {"logits": FRAMES, **SPOKEN}),
    "cox_loss": (cox_loss, ROWS),
    "crf_loss": (crf_loss, PATHS),
    "crf_decode": (crf_decode, {name: x for name, x in PATHS.items() if name != "tags"}),
    "plackett_luce_loss": (plackett_luce_loss, {**LISTS, "order": T([2, 0, 1, 1, 0])}),
    "list_mle_loss": (list_mle_loss, {**LISTS, "relevance": T([1.0, 3.0, 2.0, 0.0, 1.0])}),
    "info_nce_loss": (info_nce_loss, {"query": torch.eye(3), "positive_key": torch.eye(3)}),
    "clip_loss": (clip_loss, {"image_features": torch.eye(3), "text_features": torch.eye(3), "logit_scale": T(2.0)}),
    "siglip_loss": (siglip_loss, {"image_features": torch.eye(3), "text_features": torch.eye(3), "logit_scale": T(2.0)}),
}
NUMBERS = {"temperature", "logit_scale", "logit_bias"}  # may be a number of Python
LENGTHS = {"input_lengths", "target_lengths"}  # may be a sequence of numbers


def arguments(but: set[str]) -> list[tuple[str, str]]:
    return [(loss, name) for loss, (_, given) in RIGHT.items() for name in given if name not in but]


def refused(loss: str, change: dict[str, Any], errors: Any) -> str:
    function, given = RIGHT[loss]
    with pytest.raises(errors) as caught:
        function(**(given | change))
    return str(caught.value)


@pytest.mark.parametrize("loss", RIGHT)
def test_the_input_that_the_table_changes_is_right(loss: str) -> None:
    function, given = RIGHT[loss]
    function(**given)


@pytest.mark.parametrize(("loss", "name"), arguments(NUMBERS | LENGTHS))
def test_what_is_no_tensor_is_a_type_error_that_names_it(loss: str, name: str) -> None:
    assert name in refused(loss, {name: np.asarray(RIGHT[loss][1][name])}, TypeError)


@pytest.mark.parametrize(("loss", "name"), arguments(NUMBERS))
def test_another_number_of_dimensions_is_refused(loss: str, name: str) -> None:
    refused(loss, {name: RIGHT[loss][1][name][None, None, None]}, (ShapeError, DomainError))


@pytest.mark.parametrize(("loss", "name"), arguments(NUMBERS | {"transitions", "start", "end"}))
def test_rows_that_are_missing_are_refused(loss: str, name: str) -> None:
    if (loss, name) == ("ctc_loss", "log_probs") or name == "logits":
        refused(loss, {name: FRAMES[:, :1]}, (ShapeError, DomainError))
    else:
        refused(loss, {name: RIGHT[loss][1][name][:-1]}, (ShapeError, DomainError))


@pytest.mark.parametrize(("loss", "name"), [pair for pair in arguments(set()) if pair[1] in {*LENGTHS, "lengths", "tags", "targets"}])
def test_fractions_of_whole_numbers_are_not_cut_off(loss: str, name: str) -> None:
    said = refused(loss, {name: RIGHT[loss][1][name] + 0.5}, (DomainError, TypeError))
    assert "whole numbers" in said and name.removeprefix("input_").removeprefix("target_") in said.replace("labels", "targets")


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    ("mask", "error"),
    [
        (torch.ones(2, 2, dtype=torch.bool), ShapeError),
        (torch.ones(2, dtype=torch.bool), ShapeError),
        (torch.ones(2, 3, 1, dtype=torch.bool), ShapeError),
        (np.ones((2, 3), bool), TypeError),
        (T([[True, True, False], [True, False, True]]), DomainError),
    ],
)
def test_a_mask_that_does_not_fit_is_named_by_the_module_also_where_it_decodes(
    batch_first: bool, mask: Any, error: type[Exception]
) -> None:
    crf, z, y = CRF(2, batch_first=batch_first), PATHS["emissions"], PATHS["tags"]
    if not batch_first:
        z, y, mask = z.transpose(0, 1), y.T, mask.swapaxes(0, 1) if mask.ndim > 1 else mask
    for call in (lambda: crf(z, y, mask), lambda: crf.decode(z, mask)):
        with pytest.raises(error, match="mask"):
            call()


def test_siglip_takes_one_pair_and_no_bias_and_says_what_it_has() -> None:
    a, b = torch.tensor([[0.6, 0.8]], requires_grad=True), torch.tensor([[1.0, 0.0]])
    loss = siglip_loss(a, b, 2.0, None)
    torch.testing.assert_close(loss, torch.nn.functional.softplus(-2.0 * (a * b).sum()))
    loss.backward()
    torch.testing.assert_close(a.grad, -2.0 * torch.sigmoid(torch.tensor(-1.2)) * b)
    assert siglip_loss(a, b, 2.0, 0.0) == loss
    with pytest.raises(DomainError, match="there are 0 pairs; allowed: 1 or more"):
        siglip_loss(a[:0], b[:0], 2.0)

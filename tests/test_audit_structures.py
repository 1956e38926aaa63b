"""Losses of structures in the audit: what is wrong is told by the right check, what is sound is not accused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

import matchloss.torch as mt  # noqa: E402
from audited.structures import PLANTED, SOUND, cox_by_order  # noqa: E402
from matchloss.audit import Report, audit  # noqa: E402
from matchloss.audit.calling.structures import structure_of  # noqa: E402
from sweeps import sweep  # noqa: E402


def audited(fn: Any, **given: Any) -> Report:
    report = audit(fn, isolate=False, **given)
    assert not [c for c in report.checks if c.status == "crashed"], report
    return report


def name(fn: Any) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


@pytest.mark.parametrize("fn", sweep(PLANTED, lambda fn: name(fn) != "ctc_in_probabilities"), ids=name)
def test_a_planted_error_is_told_by_the_right_check(fn: Any) -> None:
    check, words = PLANTED[fn]
    report = audited(fn)
    assert report.outcome == "broken" and any(f.check == check and words in f.message for f in report.of("error")), report


OURS = (
    mt.ctc_loss, mt.ctc_loss_with_logits, mt.CRF(4), mt.crf_loss, mt.cox_loss, mt.list_mle_loss, mt.plackett_luce_loss, mt.info_nce_loss,
    mt.clip_loss, mt.siglip_loss,
)  # fmt: skip
SLOW = ("ctc_loss", "ctc_loss_with_logits", "CRF", "crf_loss", "list_mle_loss", "info_nce_loss", "clip_loss")


@pytest.mark.parametrize("fn", sweep([*SOUND, *OURS], lambda fn: name(fn) not in SLOW), ids=name)
def test_what_is_sound_has_no_finding(fn: Any) -> None:
    report = audited(fn)
    assert report.outcome == "sound" and report.convention is not None and report.convention.structure and not report.findings, report


@pytest.mark.exhaustive
@pytest.mark.parametrize("fn", [torch.nn.functional.ctc_loss, torch.nn.CTCLoss()], ids=name)
def test_pytorchs_ctc_has_the_gradient_of_logits_whatever_it_is_given(fn: Any) -> None:
    report = audited(fn)
    (finding,) = report.findings
    assert (finding.check, finding.severity) == ("gradient", "warning") and "pytorch/pytorch#52241" in finding.message
    if not isinstance(fn, torch.nn.Module):
        return
    got, right = finding.counterexample["got"], finding.counterexample["right"]
    said = subprocess.run([sys.executable, "-c", finding.snippet], capture_output=True, text=True, check=True).stdout
    assert f"{got:.4f}" in said and f"{right:.4f}" not in said  # the code prints the gradient


@pytest.mark.exhaustive
def test_jax_is_called_as_well() -> None:
    pytest.importorskip("jax")
    from matchloss.jax import cox_loss

    report = audited(cox_loss, checks=["gradient", "invariance", "accuracy"])
    assert report.convention is not None and report.convention.framework == "jax" and report.outcome == "sound" and not report.findings


def test_losses_of_rows_are_no_structures() -> None:
    functional = torch.nn.functional

    def masked(preds: Any, target: Any, mask: Any = None) -> Any:
        return (preds - target) ** 2

    losses = (functional.mse_loss, functional.cross_entropy, functional.margin_ranking_loss, torch.nn.TripletMarginLoss())
    for fn in (*losses, masked, 3, dict):
        assert structure_of(fn, loaded=("torch",)) is None


def test_a_person_may_say_it_and_a_kind_of_rows_goes_before() -> None:
    report = audited(lambda x, labels: 0.0, kind="structured")
    assert report.outcome == "not judged" and "names of a loss of structures" in report.why

    def net(scores: Any, labels: Any) -> Any:
        return torch.where(labels > 1.0, scores.logsumexp(1, keepdim=True) - scores, 0.0).sum()

    assert structure_of(net, loaded=("torch",)) is None
    report = audited(net, structure="lists")
    assert report.outcome == "sound" and report.convention is not None and report.convention.structure == "lists"
    assert audited(net, kind="regression").convention != report.convention

    out = str(audited(cox_by_order))
    assert "takes (log hazards, times, events), returns values of whole groups" in " ".join(out.split())
    assert "a loss of a structure" in out and max(map(len, out.split("This code")[0].splitlines())) <= 80

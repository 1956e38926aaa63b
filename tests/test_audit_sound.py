"""The audit finds nothing in sound losses nor in the catalogue, and finds the one defect of each mutated loss; it reads no names."""

from __future__ import annotations

import pytest

import sweeps
from audited.mutated import MUTATED
from audited.renamed import NAME, audited, renamed, told
from audited.sound import EXEMPT, SOUND
from audited.subjects import Tried
from cases import DEFAULTS, INSTANCES, label
from matchloss.audit import Report, audit
from matchloss.losses import Loss
from sweeps import sweep

RENAMED = ("logistic", SOUND[-1].name, MUTATED[0].name)  # those that `make test` tries under another name too


def above_note(report: Report, exempt: tuple[str, ...] = ()) -> str:
    """The findings that a sound loss may not have, as a test shows them."""
    bad = [f for f in report.findings if f.severity != "note" and f.check not in exempt]
    return "\n\n".join(f"{f.severity}, {f.check}: {f.message}\n{dict(f.counterexample)}\n{f.snippet}" for f in bad)


@pytest.mark.parametrize("loss", SOUND, ids=lambda tried: tried.name)
def test_a_sound_loss_has_no_finding_above_note_whatever_its_name(loss: Tried) -> None:
    report = audited(loss)
    assert report.convention is not None and report.convention.kind == loss.kind
    assert not above_note(report, EXEMPT)
    if sweeps.everything or loss.name in RENAMED:
        other = audited(loss, renamed(loss.target))
        assert NAME in other.subject and told(other) == told(report)


PLAIN = {
    "torch.nn.functional:mse_loss": (), "torch.nn.functional:binary_cross_entropy_with_logits": (), "optax.losses:squared_error": (),
    "sklearn._loss:HalfSquaredError": (), "sklearn.metrics:mean_squared_error": (),
    # pytorch/pytorch#85791: its mean of float16 overflows; #104776: class weights of distributions are another mean than those of labels.
    "torch.nn.functional:cross_entropy": (("accuracy", "error"), ("weights", "warning")),
}  # fmt: skip


@pytest.mark.parametrize("name", sweep(PLAIN, lambda name: name in list(PLAIN)[:1] or "_loss:" in name))
def test_a_plain_sound_loss_of_a_library_has_no_warning(name: str) -> None:
    report = audit(name, isolate=False)
    assert tuple((f.check, f.severity) for f in report.findings if f.severity != "note") == PLAIN[name], above_note(report)


@pytest.mark.parametrize("loss", MUTATED, ids=lambda tried: tried.name)
def test_the_one_defect_of_a_mutated_loss_is_found_whatever_its_name(loss: Tried) -> None:
    checks = None if sweeps.everything else loss.checks
    report = audited(loss, checks=checks)
    found = {f.check for f in report.findings if f.severity != "note"}
    assert found & set(loss.checks), f"by {sorted(found)}, not by any of {loss.checks}"
    if sweeps.everything or loss.name in RENAMED:
        other = audited(loss, renamed(loss.target), checks=checks)
        assert NAME in other.subject and told(other) == told(report)


def kept(loss: Loss, host: str) -> bool:
    return loss in DEFAULTS if host == "numpy" else loss.name == "logistic"


# Other parameters take the same ways through JAX as the default ones, which take long to compile.
CATALOGUE = [(loss, host) for host in ("jax", "torch", "numpy") for loss in (DEFAULTS if host == "jax" else INSTANCES)]


# `make test`: every loss with its own parameters by NumPy; the audits of peers go through PyTorch and JAX too.
@pytest.mark.parametrize(("loss", "host"), sweep(CATALOGUE, kept), ids=lambda value: value if isinstance(value, str) else label(value))
def test_the_catalogue_has_no_finding_above_note(loss: Loss, host: str) -> None:
    report = audit(loss, framework=host, isolate=False)
    assert report.convention is not None and report.convention.framework == host
    assert not above_note(report)

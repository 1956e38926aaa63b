"""`import matchloss.torch as F` is the one line that changes: every other name of PyTorch's modules is PyTorch's own."""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

import matchloss.torch as mt  # noqa: E402


def public(host: ModuleType) -> set[str]:
    """What a module of PyTorch defines, not what it imports; told by PyTorch's own rule for names that star imports bring."""
    brought: dict[str, Any] = {}
    exec(f"from {host.__name__} import *", brought)
    mine = {name for name, x in brought.items() if str(getattr(x, "__module__", None)).startswith(("torch.nn", "torch._C._nn"))}
    return mine | {name for name, x in brought.items() if isinstance(x, ModuleType) and x.__name__.startswith("torch.nn.")}


@pytest.mark.parametrize(
    ("ours", "theirs"), [(mt, F), (mt, torch.nn), (mt.functional, F), (mt.modules, torch.nn.modules)], ids=lambda module: module.__name__
)
def test_every_name_that_is_not_ours_is_pytorchs_own(ours: ModuleType, theirs: ModuleType) -> None:
    names = public(theirs)
    assert len(names) > 100 and names <= set(dir(ours))
    own = {*mt.functional.__all__, *mt.modules.__all__, "functional", "modules"} | (set(mt.structured.__all__) if ours is mt else set())
    for name in names - own:
        assert getattr(ours, name) is getattr(theirs, name), name
    for name in names & own:
        assert getattr(ours, name) is not getattr(theirs, name), name
    assert {name for name in dir(ours) if name.startswith("_")} == set()
    for name in ("np", "warnings", "_Reduction", "_pad", "rellu"):
        with pytest.raises(AttributeError, match=f"module '{ours.__name__}' has no attribute '{name}'"):
            getattr(ours, name)


def layer(x: torch.Tensor) -> torch.Tensor:
    return mt.relu(mt.linear(x, x))


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")
def test_one_changed_line_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from matchloss.torch import Linear, relu

    brought: dict[str, Any] = {}
    exec("from matchloss.torch import *", brought)
    assert (relu, Linear) == (F.relu, torch.nn.Linear) == (brought["relu"], brought["Linear"])
    assert brought["cross_entropy"] is mt.cross_entropy and brought["MSELoss"] is mt.MSELoss
    assert pickle.loads(pickle.dumps(mt.relu)) is F.relu
    assert torch.jit.script(layer)(torch.full((1, 1), -2.0)).item() == 4
    model = mt.Sequential(mt.Linear(3, 2), mt.ReLU())  # nn's names
    mt.CrossEntropyLoss()(model(torch.zeros(1, 3)), torch.tensor([1])).backward()
    monkeypatch.setattr(F, "relu", torch.abs)  # whoever replaces a function of PyTorch replaces ours
    assert mt.relu is torch.abs

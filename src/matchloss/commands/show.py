"""`matchloss show`: the card of a model."""

from __future__ import annotations

from matchloss.commands.options import Model, OwnLoss
from matchloss.commands.tools import own_loss


def show(
    model: Model,
    loss: OwnLoss = None,
) -> None:
    """Print the card of a model: what it predicts and from what, how it was made, its scores and, if linear, its coefficients."""
    from matchloss.fit import text
    from matchloss.fit.structured import structured_text
    from matchloss.linear.structured_file import is_structured, read
    from matchloss.models.saved import read_model
    from matchloss.terminal import console

    if is_structured(model):
        console().print(structured_text(read(model), model.name))
        return
    console().print(text.model_text(read_model(model, own_loss(loss)), model.name))

"""`matchloss losses`: the catalogue, or the card of one loss."""

from __future__ import annotations

from typing import Annotated

import typer


def losses(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A loss whose card to print, by its name here or in another library.")
    ] = None,
) -> None:
    """Print the catalogue, or the card of one loss."""
    import matchloss as ml
    from matchloss.comparison import text
    from matchloss.losses.structured import NAMES
    from matchloss.losses.structured import catalogue as structured
    from matchloss.names import modules_from_here
    from matchloss.tables.losses import get_loss
    from matchloss.terminal import console

    out = console()
    if name is None:
        out.print(text.catalogue(ml.losses()))
        print(f"  {text.LETTERS}\n\nLosses of structures, a catalogue of their own (kind: structured)\n")
        out.print(text.structured(structured()))
        print("  `matchloss losses NAME` shows the card of one")
    elif name in NAMES:
        out.print(text.card(NAMES[name]()))
    else:
        with modules_from_here():
            out.print(text.card(get_loss(name)))

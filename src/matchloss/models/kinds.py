"""The kinds of models by their names, as `--model` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matchloss.models.hosts import PACKAGES, check_installed
from matchloss.models.linear import LinearModels
from matchloss.models.trees import TreeModels
from matchloss.names import split_names
from matchloss.tables.errors import DataError
from matchloss.tables.words import suggest

if TYPE_CHECKING:
    from matchloss.models.found import Models
    from matchloss.tables.options import Study

LINEAR = "linear"
KINDS = (LINEAR, *PACKAGES)


def asked_kinds(names: str | Sequence[str]) -> tuple[str, ...]:
    """The kinds that a person names, each once; DataError for a name that is none, ImportError, with the pip command, for a library
    that is not installed.

    >>> asked_kinds("linear, trees, linear")
    ('linear', 'trees')
    """
    given = tuple(dict.fromkeys(split_names(names) if isinstance(names, str) else names))
    if not given:
        raise DataError(f"--model names no kind of model; allowed: {', '.join(KINDS)}")
    for name in given:
        if name not in KINDS:
            raise DataError(f"--model is {name!r}{suggest(name, KINDS) or '; allowed: ' + ', '.join(KINDS)}")
        if name != LINEAR:
            check_installed(name)
    return given


def models_of(kind: str, study: Study, seed: int) -> Models:
    """The models of one kind for a table."""
    return LinearModels.of(study) if kind == LINEAR else TreeModels.of(kind, study.ready, study.split, seed)

"""The errors that matchloss raises for bad input. Both are ValueErrors."""


class DomainError(ValueError):
    """A value outside the set that is allowed; the message names the row, the value and the set."""


class ShapeError(ValueError):
    """Shapes that do not match; nothing is broadcast silently."""

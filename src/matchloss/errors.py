"""The errors that matchloss raises for bad input. All are ValueErrors."""


class DomainError(ValueError):
    """A value outside the set that is allowed; the message names the row, the value and the set."""


class ShapeError(ValueError):
    """Shapes that do not match; nothing is broadcast silently."""


class UsageError(ValueError):
    """An option or a name on the command line that means nothing; exit code 2."""

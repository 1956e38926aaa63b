"""The errors that matchloss raises for bad input. All are ValueErrors."""


class DomainError(ValueError):
    """A value outside the set that is allowed; the message names the row, the value and the set."""


class ShapeError(ValueError):
    """Shapes that do not match; nothing is broadcast silently."""


class FileError(ValueError):
    """A file that is missing, damaged, empty or changed, or files that do not go together; the message names it."""


class CheckpointError(ValueError):
    """A checkpoint of another fit, or none at all; the message says what differs."""


class NotInMemory(ValueError):
    """A method needs all rows at hand, and they are in a file or on a cluster."""


class UsageError(ValueError):
    """An option or a name on the command line that means nothing; exit code 2."""

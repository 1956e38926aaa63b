"""The error of a table that nothing can be made from."""


class DataError(ValueError):
    """Data or arguments that a command cannot work with; the message is for the person who gave them."""

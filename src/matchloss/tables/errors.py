"""The error for tables and arguments that cannot be used."""


class DataError(ValueError):
    """Data or arguments that a command cannot work with; the message is for the person who gave them."""

"""The error of a comparison that cannot be made."""


class DataError(ValueError):
    """Data or arguments that a comparison cannot be made from; the message is for the person who gave them."""

"""How a check says that it does not apply."""


class Skip(Exception):
    """The check does not apply, and why."""

"""Compiled loops of the structured losses, a file a family. None is imported before it is asked for, because few programs need them."""

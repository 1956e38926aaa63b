"""The same linear model under every candidate loss, on a person's own table: `matchloss.compare.run.compare`."""

from matchloss.compare.result import Comparison, Fit, Kind, Score

__all__ = ["Comparison", "Fit", "Kind", "Score"]

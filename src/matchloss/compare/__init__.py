"""The same linear model under every candidate loss, on a person's own table: `matchloss.compare.run.compare`."""

from matchloss.compare.result import Comparison, Fit, Score

__all__ = ["Comparison", "Fit", "Score"]

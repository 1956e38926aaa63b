"""The same linear model under every candidate loss, on a person's own table: `matchloss.comparison.run.compare`."""

from matchloss.comparison.result import Comparison, Fit, Score

__all__ = ["Comparison", "Fit", "Score"]

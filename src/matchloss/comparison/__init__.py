"""Which loss fits: a table in, verdicts out. `ml.compare` is `matchloss.comparison.run.compare`."""

from matchloss.comparison.result import Comparison, Fit, Score
from matchloss.comparison.run import compare
from matchloss.comparison.verdicts import Verdict

__all__ = ["Comparison", "Fit", "Score", "Verdict", "compare"]

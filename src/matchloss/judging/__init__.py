"""Judges forecasts that stand in a table: columns in, a judgement out, which text, JSON and a page are made of."""

from matchloss.judging.judge import judge
from matchloss.judging.result import Coverage, Judgement

__all__ = ["Coverage", "Judgement", "judge"]

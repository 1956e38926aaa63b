"""Losses of structures: alignments, paths, risk sets, orders, choices, pairs. The error signal is expected minus observed.

A catalogue of their own, `catalogue()`: trainers, hosts and commands for losses of rows do not meet them.
"""

from matchloss.losses.structured._risk import RiskSets
from matchloss.losses.structured._structured import NAMES, STRUCTURED, StructuredLoss, catalogue, facts, get_structured
from matchloss.losses.structured.cox import Cox
from matchloss.losses.structured.ctc import CTC, Transcripts

__all__ = ["CTC", "NAMES", "STRUCTURED", "Cox", "RiskSets", "StructuredLoss", "Transcripts", "catalogue", "facts", "get_structured"]

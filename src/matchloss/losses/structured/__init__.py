"""Losses of structures: alignments, paths, risk sets, orders, choices, pairs. The error signal is expected minus observed.

They have a catalogue of their own, `catalogue()`, so trainers, hosts and commands for losses of rows do not meet them.
"""

from matchloss.losses.structured._risk import RiskSets
from matchloss.losses.structured._structured import NAMES, STRUCTURED, StructuredLoss, catalogue, facts, get_structured
from matchloss.losses.structured.choice import Choice, ChoiceSets
from matchloss.losses.structured.contrastive import CLIP, InfoNCE, SigLIP
from matchloss.losses.structured.cox import Cox
from matchloss.losses.structured.crf import LinearChainCRF, Paths
from matchloss.losses.structured.ctc import CTC, Transcripts
from matchloss.losses.structured.ordered import OrderedLogit, OrderedProbit
from matchloss.losses.structured.plackett_luce import PlackettLuce, Rankings

__all__ = [
    "CLIP",
    "CTC",
    "NAMES",
    "STRUCTURED",
    "Choice",
    "ChoiceSets",
    "Cox",
    "InfoNCE",
    "LinearChainCRF",
    "OrderedLogit",
    "OrderedProbit",
    "Paths",
    "PlackettLuce",
    "Rankings",
    "RiskSets",
    "SigLIP",
    "StructuredLoss",
    "Transcripts",
    "catalogue",
    "facts",
    "get_structured",
]

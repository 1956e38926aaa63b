"""Kinds of models that a table is fitted with, linear ones and boosted trees, behind one seam: `matchloss.models.kinds`."""

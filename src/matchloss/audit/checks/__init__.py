"""The checks, a file for each group of properties; `matchloss.audit.table` has them in order."""

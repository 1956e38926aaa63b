"""The trainer: a table becomes a design matrix, a linear model is fitted to it under any loss."""

"""How sure the coefficients of a fit are: standard errors, tests, intervals."""

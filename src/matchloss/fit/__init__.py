"""One loss fitted to a person's own table: `matchloss.fit.run.fit`."""

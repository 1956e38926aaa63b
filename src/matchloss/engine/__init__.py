"""HOW a loss is computed. Knows no loss by name."""

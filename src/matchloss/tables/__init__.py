"""What the commands on a table share: reading it, its target, the split into training and test rows, held-out scores."""

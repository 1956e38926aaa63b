"""What commands on a person's table share: reading it, its target, the split into train and test rows, held-out scores."""

"""Penalties that choose columns, and bounds: L1, elastic net, groups, by proximal Newton steps."""

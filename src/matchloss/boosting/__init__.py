"""What the hosts of boosted trees share: start scores, curvature, targets, checks. No host is named here and none is imported."""

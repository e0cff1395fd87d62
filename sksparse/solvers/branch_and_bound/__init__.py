"""Best-subset least squares with a proof."""

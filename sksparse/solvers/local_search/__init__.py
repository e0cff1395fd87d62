"""Best-subset least squares by exact additions, drops and swaps."""

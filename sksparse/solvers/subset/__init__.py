"""Best-subset least squares: what a subset may be, and the textbook methods."""

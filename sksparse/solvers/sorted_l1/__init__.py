"""Working sets, coordinate descent over clusters, and paths for sorted L1 norms."""

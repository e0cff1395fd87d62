"""Which weights to keep: scores, rankings, counts."""

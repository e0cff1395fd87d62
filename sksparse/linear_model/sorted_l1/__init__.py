"""OSCAR, SLOPE and GrOWL: sorted L1 norms."""

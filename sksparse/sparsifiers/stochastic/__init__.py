"""Gates and noise on weights or units."""

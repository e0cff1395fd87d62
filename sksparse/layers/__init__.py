"""Linear layers with fewer parameters than weights."""

"""Networks as files of other formats."""

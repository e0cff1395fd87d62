"""A network after its fit: how it predicts, and how it is stored."""

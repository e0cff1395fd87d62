"""Pictures of selectors of features."""

"""The weights of a module as one flat tensor, and their gradients."""

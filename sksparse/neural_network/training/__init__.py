"""One training loop: batches, losses, the optimiser, the process around it."""

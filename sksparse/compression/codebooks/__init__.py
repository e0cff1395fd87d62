"""Weights of networks rounded to codebooks: how many levels, which, and their fine-tuning."""

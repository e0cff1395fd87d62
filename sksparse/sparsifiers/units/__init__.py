"""Whole units by a score: filters, neurons and recurrent states with all that belongs to them."""

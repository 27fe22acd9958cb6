"""Handwritten digits in Flower, attacked by label flips."""

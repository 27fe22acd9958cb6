"""Defences of ordinary training against wrong labels, one a module; ``turncoat.defence`` has their names.

Losses change what an example's gradient is, a guard what counts in a mini-batch and in a round. Redundancy is
arithmetic on write access (``turncoat.defence.access``), and models that vote are trained by ``training.parted``.
"""

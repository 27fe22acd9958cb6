"""Planned flips: the labels that do the most harm over a whole training, not round by round.

Read in this order: ``reach`` (what can be held) → ``course`` (training in expectation) → ``costates`` (what a label is
worth over all of it) → ``descent`` (the search) → ``plan`` (what is kept of it) → ``realise`` (a round's flips).
"""

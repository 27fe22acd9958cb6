"""Sweeps: experiment file → cells → stacks → runner → store → frames."""

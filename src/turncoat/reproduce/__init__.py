"""The figures and tables of the two papers, made again by name from the real data."""

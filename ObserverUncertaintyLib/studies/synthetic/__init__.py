"""Experiment 1 of the paper: synthetic shapes, ways of fusing their observers, and what follows for uncertainty."""

"""Simulated images and raters, for experiments where the paper's patients are not public."""

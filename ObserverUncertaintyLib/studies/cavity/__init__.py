"""Experiment 2 of the paper: resection cavities, no fusion against fusion, by six-fold cross-validation."""

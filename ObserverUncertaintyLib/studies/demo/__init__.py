"""The main job in small: one patient to look at, then both ways of training on a simulated cohort, compared."""

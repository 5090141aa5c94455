"""Monte Carlo dropout: from a model and a case to probability and entropies."""

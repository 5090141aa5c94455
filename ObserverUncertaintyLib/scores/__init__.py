"""Numbers: entropies, the paper's scores, and further ones for several raters."""

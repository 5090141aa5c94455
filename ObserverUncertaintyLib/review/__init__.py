"""From a prediction to its review: where to look, what to draw, and what one correction changes elsewhere."""

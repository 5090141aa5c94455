"""From a prediction to what a reviewer does with it: where to look, what to draw, what one correction changes elsewhere."""

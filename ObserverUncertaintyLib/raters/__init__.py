"""From several raters' masks to votes, to one fused map, or to none."""

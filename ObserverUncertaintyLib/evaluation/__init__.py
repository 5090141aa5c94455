"""Predictions scored against the raters: scores, tables, figures."""

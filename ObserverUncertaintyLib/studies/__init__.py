"""Whole studies, from data to table and figure."""

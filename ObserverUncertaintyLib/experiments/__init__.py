"""Whole studies, each from data to table and figure."""

"""Measures what the schemes cost, as ratios within one run."""

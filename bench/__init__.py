"""Measurements: ratios taken in one run, with their ceilings beside them."""

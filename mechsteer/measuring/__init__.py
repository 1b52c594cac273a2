"""Losses by multiplier, and what they say: sweeps, the choice of a site, the frontier."""

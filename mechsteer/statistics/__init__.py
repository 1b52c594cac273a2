"""Intervals, and what they decide."""

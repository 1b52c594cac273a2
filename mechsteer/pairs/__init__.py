"""Polarity pairs, and the files that hold them."""

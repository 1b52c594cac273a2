"""Serving: an OpenAI-compatible endpoint on the loopback, whose requests may carry steers."""

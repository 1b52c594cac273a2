"""What figures share: how they look, and parts of several."""

"""What claims are judged by, collected while the model is there."""

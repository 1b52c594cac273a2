"""The evidence that claims are judged on, collected while the model is loaded."""

"""A language model behind TransformerLens: opening one, where it can be steered, texts as tokens."""

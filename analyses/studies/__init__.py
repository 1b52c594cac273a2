"""Studies: what is computed, in which order, and the folder that they leave."""

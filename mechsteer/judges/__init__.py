"""Judges: what a written text is worth, by a checker, by rules, by a classifier, or by asking a model; a file each."""

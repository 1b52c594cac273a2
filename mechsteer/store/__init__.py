"""Results that are found by content, computed once and never lost."""

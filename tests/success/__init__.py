"""The bench of success."""

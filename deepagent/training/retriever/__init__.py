"""Tuning an encoder so that wishes lie near the tools that serve them."""

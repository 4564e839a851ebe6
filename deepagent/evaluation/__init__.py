"""Benchmarks: tasks, scorers and the runner."""

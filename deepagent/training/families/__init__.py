"""Families of generated tasks to train on: seeded, never a published test item, each a `Benchmark` with an oracle."""

"""One module per client; each opens a `Play` (see `benchmarks.framework.measure`)."""

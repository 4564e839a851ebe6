"""How well tool search finds: labelled sets, measures, and the retrievers compared on them."""

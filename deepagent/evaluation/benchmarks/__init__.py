"""One module per benchmark: its tasks and its scorer (see `deepagent.evaluation.registry`)."""

"""The event log: what happened in a run, in order, on disk before its effect shows."""

"""What the agent remembers: the schema of memory, and folding history into it."""

"""Other frameworks, each in an environment of its own; nothing here may import deepagent."""

"""ALFWorld: household tasks in text, played by TextWorld's engine."""

"""Training: ToolPO, supervised fine-tuning, and what they need. Needs the extra `train`."""

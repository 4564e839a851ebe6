"""Does the task get done? One small model, the same tools and tasks, our loop and those of other frameworks."""

"""API-Bank's tools over its tables: a world that the tools change."""

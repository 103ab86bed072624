"""config.yaml, and what is decided from it."""

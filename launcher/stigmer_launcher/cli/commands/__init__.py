"""The commands, one module for each, or for several that show the same."""

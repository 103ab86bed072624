"""Imported by name only, so that a freezer does not see it by itself."""

WORD = "world"

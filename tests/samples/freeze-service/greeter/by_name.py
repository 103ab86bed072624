"""Imported by name only, so that a freezer does not detect it."""

WORD = "world"

"""Imported by name only."""

WORD = "world"

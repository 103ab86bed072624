"""A library in the same tree."""

GREETING = "hello"

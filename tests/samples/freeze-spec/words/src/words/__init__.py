"""A library in the same source tree."""

GREETING = "hello"

"""The service's own package."""

GREETING = "hello"

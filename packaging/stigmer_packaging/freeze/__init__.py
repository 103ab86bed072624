"""Freezes programs written in Python."""

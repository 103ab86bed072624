"""Freezing of programs that are written in Python."""

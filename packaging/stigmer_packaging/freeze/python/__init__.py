"""Builds the pinned CPython for frozen programs, with one cross compiler for every target, on any Linux host."""

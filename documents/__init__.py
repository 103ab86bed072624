"""Generates the parts of the documents that describe the programs: reference pages, the manual page and pictures."""

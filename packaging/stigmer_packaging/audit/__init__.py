"""Audit of a bottle: checks as data, and the values they inspect. Each check is a pure function of those values."""

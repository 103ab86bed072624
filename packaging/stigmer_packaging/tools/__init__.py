"""The outside world: one module per external program or format, each with run, parse and join."""

"""The command line: the only place that sees clock, environment and terminal."""

"""The command line: the only code that reads the clock, the environment and the terminal."""

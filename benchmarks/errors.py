"""Errors of the benchmarks."""


class BenchmarkError(Exception):
    """The program under measurement failed, or something needed for the measurement is missing."""

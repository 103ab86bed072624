"""Why a measurement would not mean anything."""


class BenchmarkError(Exception):
    """What is measured did not do what it is measured for."""

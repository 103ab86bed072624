"""The error of a picture that cannot be generated or is stale."""


class PictureError(Exception):
    """The program failed, or its output differs from the picture."""

"""Why a picture cannot be taken, or must be taken anew."""


class PictureError(Exception):
    """The program did not do what the picture shows, or shows something else today."""

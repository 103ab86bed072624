"""Make the pinned CPython that is frozen: one recipe, compiled for every target by one cross compiler on any Linux host."""

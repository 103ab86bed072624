"""Readers and editors of native code and of archives embedded in it, for any host. They contain no policy."""

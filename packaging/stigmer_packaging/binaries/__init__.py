"""Formats of native code and of the archives in it, read and edited on any host. No policy."""

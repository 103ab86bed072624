"""Verify a release with a real Homebrew."""

"""Verifies a release with a real Homebrew."""

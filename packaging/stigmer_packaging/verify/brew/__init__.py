"""Verification with a real Homebrew."""

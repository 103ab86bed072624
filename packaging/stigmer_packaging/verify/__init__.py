"""Verifies a bottle on machines without developer tools: sandbox, virtual machine, Mac, Homebrew."""

"""Helpers that do not depend on the product: programs, the network, files, and the machine."""

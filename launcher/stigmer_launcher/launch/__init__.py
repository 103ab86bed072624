"""Preparation of a start: settings, ports, components and environment are checked and make one launch."""

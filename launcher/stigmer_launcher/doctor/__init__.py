"""Checks of the installation and of the running server. Changes nothing."""

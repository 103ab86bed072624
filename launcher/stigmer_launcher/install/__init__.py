"""Installs the keg's components in the home: copies, verifies, switches and prunes versions."""

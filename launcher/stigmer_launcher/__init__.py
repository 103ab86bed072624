"""The `stigmer` command: installs and supervises the services of a bottle. Standard library only."""

"""The `stigmer` command: supervises the services a bottle carries. Standard library only."""

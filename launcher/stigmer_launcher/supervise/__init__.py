"""The running stack: its supervisor, the processes of its services, and the state file that commands read."""

"""What the operating system is asked for: locks, processes, ports, directories."""

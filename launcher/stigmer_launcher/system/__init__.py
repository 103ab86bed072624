"""The operating system: locks, processes, ports, directories, service managers."""

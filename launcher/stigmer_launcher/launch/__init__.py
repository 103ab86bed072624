"""What a start runs: settings, ports, components and environment, checked and joined."""

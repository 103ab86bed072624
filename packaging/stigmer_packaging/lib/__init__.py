"""What knows nothing of the product: programs, the network, files, and the machine."""

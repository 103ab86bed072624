"""What we ship: the manifest as records, the rules it must keep, and the names made from it."""

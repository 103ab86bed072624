"""The files that Homebrew reads: the formula, the receipt, and the other files of a tap."""

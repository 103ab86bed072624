"""What the documents take from the programs they describe: pictures and the table of settings."""

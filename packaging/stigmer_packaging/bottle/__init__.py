"""The keg, and the files it is packed in: bottle, source archive, standalone archive and single file."""

"""The pictures of the documents, taken from the programs they show."""

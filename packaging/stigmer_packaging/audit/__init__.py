"""What must hold of a bottle: checks as data, and the values they look at. Pure: whoever calls says which file it is."""

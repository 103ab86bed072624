"""Loader simulation: the libraries and symbols that ld.so and dyld would find for every file of a bottle."""

"""Loader simulation: what ld.so and dyld would find for every file of a bottle."""

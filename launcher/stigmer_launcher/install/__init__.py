"""The components in the home: installed from the keg, verified, switched and pruned."""

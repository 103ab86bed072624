"""config.yaml: its keys, reading and editing it, and the language model it selects."""

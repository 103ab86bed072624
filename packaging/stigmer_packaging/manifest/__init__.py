"""The manifest of what we ship: its records, its validation rules, and the names derived from it."""

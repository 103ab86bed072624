"""What stages give each other: frozen records, the workspace they are kept in, and the release made of them."""

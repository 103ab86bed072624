"""The data that stages exchange: frozen records, the workspace that stores them, and the release made from them."""

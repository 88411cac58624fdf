"""Rows in: readers of user data. Each reader is a SourceReader; ``open_source`` picks the one a declaration names."""

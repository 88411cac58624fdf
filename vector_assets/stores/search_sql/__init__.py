"""The SQL of search, in fragments."""

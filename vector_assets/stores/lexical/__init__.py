"""BM25 in stock Postgres: an index of words, kept true to its rows by the same difference rule as the vectors."""

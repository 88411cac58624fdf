"""Question -> hits, from the live generation and with its own checkpoint."""

"""Commands of the command line, one noun a file: they parse, call the library, print."""

"""The SQL face of a collection: what stands in the schema ``search``, composed from declaration and generation."""

"""The commands of ``vector-assets``, by what people do with them; vector_assets/cli.py names them all."""

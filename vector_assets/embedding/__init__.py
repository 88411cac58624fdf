"""Checkpoint + rows -> vectors: the layout of a vector, the text of a row, the pipeline."""

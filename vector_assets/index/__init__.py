"""Vectors -> candidate -> live: measure recall, judge quality, decide."""

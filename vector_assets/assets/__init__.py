"""Dagster: asset builders named after the stages, checks, automation, the component, and how runs are launched."""

"""Our own schemas in Postgres, and MLflow: the only code that writes there."""

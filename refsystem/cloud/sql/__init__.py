"""The SQL of the cloud, as named queries."""

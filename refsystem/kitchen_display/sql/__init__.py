"""The SQL of the kitchen display, as named queries."""

"""The store protocol, sans-IO: time, identifiers and messages come in as arguments, persistence and messages go out."""

"""The arbiter's process: one durable register, served over HTTP."""

"""The reference ordering stack. Imports nothing of the toolkit that measures it."""

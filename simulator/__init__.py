"""Scenario, history and diners; predicts in virtual time. Knows the reference stack, nothing of load or faults."""

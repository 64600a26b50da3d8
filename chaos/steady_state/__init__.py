"""The steady-state hypothesis at work: probes that are asked all through an experiment, and what they said."""

"""Random faults on a real stack: a timeline drawn from a seed, the counterpart of the virtual campaign."""

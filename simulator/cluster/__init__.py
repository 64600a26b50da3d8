"""Whole stores in virtual time: the protocol's own objects on SimPy's clock, under a schedule of faults drawn from a seed.

`schedule` says what is to happen, `run` lets it happen, `outcome` is what came of it. The same seed gives the same events.
"""

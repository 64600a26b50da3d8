"""The model's compiled twin (numba): the same events as the SimPy engine, to the last bit. Needs the extra `compiled`."""

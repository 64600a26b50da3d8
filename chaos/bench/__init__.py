"""`rushproof bench NAME`: what something costs or how exact it is, measured against something else in one run.

`result` is what every benchmark returns and `rounds` how it measures: each case once in every round, so that a machine that
gets busy troubles all of them. `registry` lists the benchmarks. A benchmark is a module with what `registry.Bench` names.
"""

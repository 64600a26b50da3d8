"""The virtual campaign: hundreds of fault schedules a minute in virtual time, each judged by the one audit.

simulation     what is run: a schedule drawn from a seed, and the cluster that it happens to
judging        one run -> its failure, or None
results        what is kept of one seed
workers        seeds on several processes, results in their order
campaign       results -> counts, digest, verdict
shrinking      a failing schedule -> the smallest that fails alike
investigation  a failing seed -> shrunken schedule, trace, file to replay
replay         one schedule again, twice
trace          what happened in a run, for a person
telling        all of it in words; `accounts`: all of it in figures
"""

"""Breaks things, audits what came out, judges and reports; owns the `rushproof` command."""

"""Judges a finished run from the files it left: audit, statistics, verdict, report. Starts nothing and disturbs nothing.

    verdict = judge_run(run)        # history x reads x faults -> pass, fail or unknown, with a cause
    write_outputs(run, verdict)     # verdict.json, junit.xml, summary.md
    write_report(run, verdict)      # report.html

The heavy libraries (scipy, matplotlib, pandas) are imported only where they are used.
"""

from chaos.judge.gate import EXIT_CODES, BudgetError, Budgets, exit_code, parse_override
from chaos.judge.judging import judge_run, write_outputs, write_report
from chaos.judge.verdict import Check, Verdict

__all__ = [
    "EXIT_CODES",
    "BudgetError",
    "Budgets",
    "Check",
    "Verdict",
    "exit_code",
    "judge_run",
    "parse_override",
    "write_outputs",
    "write_report",
]

"""The report: one HTML file that needs no network."""

from chaos.judge.runfolder import RunFiles
from chaos.judge.verdict import Verdict


def report_html(files: RunFiles, verdict: Verdict) -> str:
    """The content of `report.html`."""
    raise NotImplementedError

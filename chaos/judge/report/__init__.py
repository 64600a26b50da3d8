"""The report: one HTML file that needs no network. The verdict in words stands on top, everything is escaped.

The figure is drawn twice, for wide screens and for phones, and embedded as data.
"""

from __future__ import annotations

import base64
from importlib.resources import files as package_files

from chaos.judge.report.figure import NARROW, WIDE, timeline_svg
from chaos.judge.report.timeline import timeline_of
from chaos.judge.report.view import view_of
from chaos.judge.runfolder import RunFiles
from chaos.judge.verdict import Verdict


def report_html(files: RunFiles, verdict: Verdict) -> str:
    """The content of `report.html`."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    package = package_files("chaos.judge.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("report.html.j2").read_text(encoding="utf-8"))
    timeline = timeline_of(files, verdict)
    return template.render(
        view=view_of(files, verdict),
        style=Markup(package.joinpath("report.css").read_text(encoding="utf-8")),  # ours, holds no data of a run
        figure_wide=_data_uri(timeline_svg(timeline, WIDE)),
        figure_narrow=_data_uri(timeline_svg(timeline, NARROW)),
    )


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()

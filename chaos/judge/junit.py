"""The verdict as JUnit XML: a test case for each check. Unknown is an error, so that no reader takes it for a pass."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from chaos.judge.verdict import Verdict

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"fail": "failure", "unknown": "error", "not_exercised": "skipped"}


def junit_xml(verdict: Verdict) -> str:
    """The content of `junit.xml`."""
    verdicts = [check.verdict for check in verdict.checks]
    suite = ElementTree.Element(
        "testsuite",
        name=_clean(f"rushproof.{verdict.scenario}"),
        tests=str(len(verdicts)),
        failures=str(verdicts.count("fail")),
        errors=str(verdicts.count("unknown")),
        skipped=str(verdicts.count("not_exercised")),
    )
    for check in verdict.checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_clean(f"rushproof.{verdict.scenario}"), name=check.name
        )
        tag = _TAGS.get(check.verdict)
        if tag is not None:
            ElementTree.SubElement(case, tag, message=_clean(check.detail))
        else:
            ElementTree.SubElement(case, "system-out").text = _clean(check.detail)
    ElementTree.SubElement(suite, "system-out").text = _clean(f"{verdict.verdict}: {verdict.cause}")
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)

"""The stack with a printer: a process, two ports, and a way to it from each device, only where the store has one."""

from __future__ import annotations

from pathlib import Path

from refsystem.stack import Stack, StackSettings, StoreSettings


def test_a_printer_is_there_only_in_a_store_that_has_one(tmp_path: Path) -> None:
    stores = StoreSettings("s1", printer=True, receipts=True), StoreSettings("s2")
    stack = Stack(StackSettings(tmp_path, stores, tmp_path / "menu.json", "postgresql://127.0.0.1:5432/none"))
    stack.reserve()
    try:
        stack.route("edge_printer.s1.b", "127.0.0.1", 9)
        ways = {link.name: (link.from_process, link.upstream_port) for link in stack.links() if "print" in link.name}
        paper = stack.port("s1.printer.paper")
        assert ways == {"edge_printer.s1.a": ("s1.edge_a", paper), "edge_printer.s1.b": ("s1.edge_b", paper)}
        told = {process.name: process.environment for process in stack._make_processes()}
    finally:
        stack.stop()
    assert [name for name in told if "printer" in name] == ["s1.printer"]
    assert told["s1.printer"]["RUSHPROOF_PRINTER_PORT"] == str(paper)
    assert told["s1.edge_a"]["RUSHPROOF_PRINTER_ADDRESS"] == f"127.0.0.1:{paper}"
    assert told["s1.edge_b"]["RUSHPROOF_PRINTER_ADDRESS"] == "127.0.0.1:9", "through its link"
    assert told["s1.edge_a"]["RUSHPROOF_PRINTER_RECEIPTS"] == "1"
    assert not [name for name in told["s2.edge_a"] if "PRINTER" in name]

"""The printer as a process, over real sockets: what a store sends, what it is answered, and what lies on paper."""

from __future__ import annotations

import contextlib
import socket

import pytest

from refsystem.ordering.printer_fence import ACKNOWLEDGE, ASK_EPOCH, parse_epoch, store_epoch
from refsystem.ordering.printer_status import PrinterStatus, parse_status
from refsystem.ordering.slip import STATUS_REQUESTS, Job, KitchenLine, KitchenSlip, render_kitchen_slip
from refsystem.partners.receipt_printer.__main__ import main

from .conftest import PrinterProcess, new_id, wait_until


def slip_of(job: Job, dish: str = "麻婆豆腐", lines: int = 1) -> bytes:
    kitchen_lines = tuple(KitchenLine("Mapo tofu", dish, 1) for _ in range(lines))
    return render_kitchen_slip(KitchenSlip("wok", "4", "#1", "qr", "12:00", kitchen_lines), job)


def new_job() -> Job:
    return Job(f"ticket/{new_id()}/1/wok")


def receive(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length and (part := connection.recv(length - len(parts))):
        parts += part
    return bytes(parts)


def ask_status(connection: socket.socket) -> PrinterStatus:
    connection.sendall(STATUS_REQUESTS)
    return parse_status(receive(connection, 4))


def print_job(printer: PrinterProcess, job: Job, **options) -> None:
    with printer.connect() as connection:
        connection.sendall(slip_of(job, **options))
        assert receive(connection, 7) == job.printed_answer


def slips_of(printer: PrinterProcess, key: str) -> list[dict]:
    return [slip for slip in printer.slips() if any(job.startswith(key) for job in slip["job_ids"])]


def test_a_slip_is_on_paper_when_the_printer_says_so_and_a_copy_is_marked(printer):
    job = new_job()
    print_job(printer, job)
    (slip,) = slips_of(printer, job.key)
    assert slip["job_ids"] == [job.job_id]
    assert slip["cut_at_us"] >= slip["opened_at_us"] > 0
    assert "1 x 麻婆豆腐" in slip["large"]
    assert "REPRINT" not in slip["text"]
    print_job(printer, job.again())
    first, second = slips_of(printer, job.key)
    assert first == slip
    assert "REPRINT" in second["text"]
    assert printer.change()["unknown_commands"] == 0


def test_out_of_paper_it_says_so_keeps_the_slip_and_prints_it_on_the_new_roll(printer):
    job = new_job()
    printer.change(paper_lines=4)
    with printer.connect() as connection:
        connection.sendall(slip_of(job))
        wait_until(lambda: printer.change()["paper_lines"] == 0, "the roll is at its end")
        status = ask_status(connection)
        assert (status.paper_out, status.online, status.ready) == (True, False, False)
        assert printer.slips()[-1]["cut_at_us"] is None
        printer.change(paper_lines=5000)
        assert receive(connection, 7) == job.printed_answer
        assert ask_status(connection).ready
    assert len(slips_of(printer, job.key)) == 1


def test_what_had_come_in_while_it_hung_is_lost_with_the_power(printer):
    job = new_job()
    content = slip_of(job)
    with printer.connect() as connection:
        connection.sendall(content[: len(content) // 2])
        wait_until(lambda: "桌 4" in (printer.slips() or [{"text": ""}])[-1]["text"], "the first half")
        printer.change(hanging=True)
        connection.sendall(content[len(content) // 2 :])
        printer.change(power=False)
        with contextlib.suppress(ConnectionResetError):
            assert receive(connection, 7) == b""
    printer.change(power=True)
    print_job(printer, job.again())
    assert [slip["job_ids"] for slip in slips_of(printer, job.key)] == [[job.again().job_id]]


def test_a_jam_holds_the_slip_until_somebody_clears_it(printer):
    job = new_job()
    printer.misbehave({"kind": "jam", "times": 1})
    with printer.connect() as connection:
        connection.sendall(slip_of(job))
        wait_until(lambda: printer.change()["jammed"], "the cutter jams")
        status = ask_status(connection)
        assert (status.cutter_jammed, status.broken, status.ready) == (True, False, False)
        printer.change(jammed=False)
        assert receive(connection, 7) == job.printed_answer
    assert printer.client.delete("/v1/operator/misbehaviour").json()["struck"]["jam"] == 1


def test_a_printer_that_hangs_answers_nothing_until_it_goes_on(printer):
    job = new_job()
    printer.change(hanging=True)
    with printer.connect() as connection:
        connection.sendall(STATUS_REQUESTS + slip_of(job))
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        printer.change(hanging=False)
        connection.settimeout(5)
        assert parse_status(receive(connection, 4)).ready
        assert receive(connection, 7) == job.printed_answer


def test_a_trouble_with_a_time_is_put_right_by_itself(printer):
    for kind in ("hang", "jam", "paper_out"):
        printer.misbehave({"kind": kind, "ms": 50, "times": 1})
        job = new_job()
        print_job(printer, job)
        assert len(slips_of(printer, job.key)) == 1
    struck = printer.client.delete("/v1/operator/misbehaviour").json()["struck"]
    assert min(struck[kind] for kind in ("hang", "jam", "paper_out")) >= 1


def test_a_printer_that_refuses_takes_no_connection_or_resets_it(printer):
    printer.change(refusing=True)
    with pytest.raises(ConnectionRefusedError):
        printer.connect()
    printer.change(refusing=False)
    printer.misbehave({"kind": "refuse", "times": 1})
    with contextlib.suppress(ConnectionResetError, BrokenPipeError), printer.connect() as connection:
        connection.sendall(STATUS_REQUESTS)
        assert connection.recv(4) == b""
    with printer.connect() as connection:
        assert ask_status(connection).ready


def ask_epoch(connection: socket.socket) -> int:
    connection.sendall(ASK_EPOCH)
    answer = bytearray()
    while not answer.endswith(b"\x00"):
        part = connection.recv(1)
        assert part, "the connection was closed"
        answer += part
    connection.sendall(ACKNOWLEDGE)
    return parse_epoch(bytes(answer))


def test_a_sender_whose_epoch_is_past_learns_it_before_it_prints(printer):
    with printer.connect() as new_primary:
        assert ask_epoch(new_primary) < 6
        new_primary.sendall(store_epoch(6))
        assert ask_epoch(new_primary) == 6
    printer.restart()
    with printer.connect() as old_primary:
        assert ask_epoch(old_primary) == 6, "an old primary fences itself"


def test_the_plug_is_pulled_and_connections_are_reset_at_once(printer):
    with printer.connect() as connection:
        assert ask_status(connection).ready
        printer.change(power=False)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            printer.connect()
    assert printer.change(power=True)["power"] is True
    with printer.connect() as connection:
        assert ask_status(connection).ready


def test_one_connection_is_served_at_a_time(printer):
    first, second = printer.connect(), printer.connect()
    with first, second:
        assert ask_status(first).ready
        second.sendall(STATUS_REQUESTS)
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.recv(1)
        first.close()
        second.settimeout(5)
        assert parse_status(receive(second, 4)).ready


@pytest.mark.slow
def test_pulled_out_it_loses_what_it_had_not_printed_and_the_paper_stays(tmp_path):
    slow = PrinterProcess(tmp_path, RUSHPROOF_PRINTER_LINES_PER_SECOND="20", RUSHPROOF_PRINTER_IDLE_SECONDS="0.5")
    try:
        slow.start()
        lost, lost_again, printed = new_job(), new_job(), new_job()
        with slow.connect() as connection:
            connection.sendall(slip_of(lost, "回锅肉", lines=20))
            wait_until(lambda: slow.slips() and "回锅肉" in slow.slips()[-1]["text"], "it begins to print")
            slow.change(power=False)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            slow.connect()
        slow.change(power=True)
        with slow.connect() as connection:
            connection.sendall(slip_of(lost_again, "番茄炒蛋", lines=20))
            wait_until(lambda: "番茄炒蛋" in slow.slips()[-1]["text"], "it prints again")
            slow.restart()
        with slow.connect() as connection:
            connection.settimeout(10)
            connection.sendall(slip_of(printed))
            assert receive(connection, 7) == printed.printed_answer
            assert receive(connection, 1) == b"", "a connection that is silent for too long is closed"
        (slip,) = slow.slips()
        assert slip["job_ids"] == [printed.job_id], (
            "what was printed of the others hangs on the same paper, without a code"
        )
        for dish in ("回锅肉", "番茄炒蛋", "麻婆豆腐"):
            assert dish in slip["text"]
        assert slip["text"].count("回锅肉") < 20
        assert slip["cut_at_us"] is not None
    finally:
        slow.close()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"RUSHPROOF_PRINTER_WIDTH_MM": "70"}, "RUSHPROOF_PRINTER_WIDTH_MM must be one of 58, 80"),
        ({"RUSHPROOF_PRINTER_PORT": "8003"}, "must differ"),
        ({"RUSHPROOF_PRINTER_LINES_PER_SECOND": "0"}, "RUSHPROOF_PRINTER_LINES_PER_SECOND"),
        ({"RUSHPROOF_PRINTER_MISBEHAVIOUR": "no"}, "RUSHPROOF_PRINTER_MISBEHAVIOUR"),
        ({"RUSHPROOF_PRINTER_DATA": ""}, "RUSHPROOF_PRINTER_DATA"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_exit_code_2(tmp_path, changes, named, monkeypatch, capsys):
    for name, value in ({"RUSHPROOF_PRINTER_DATA": str(tmp_path)} | changes).items():
        monkeypatch.setenv(name, value)
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith("the receipt printer cannot start: ")
    assert named in said
    assert "Traceback" not in said


def test_a_condition_that_makes_no_sense_is_a_problem(printer):
    for wrong in ({"paper_lines": -1}, {"paper_lines": "5"}, {"jammed": 1}, {"fire": True}):
        answer = printer.client.patch("/v1/operator/condition", json=wrong)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:rushproof:problem:condition-invalid")
    assert printer.client.get("/v1/audit/paper", params={"limit": 0}).status_code == 422
    assert "rushproof_printer_slips_total" in printer.client.get("/metrics").text


def test_a_port_that_is_taken_is_one_sentence_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RUSHPROOF_PRINTER_DATA", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("RUSHPROOF_PRINTER_PORT", str(taken.getsockname()[1]))
        assert main() == 2
    assert "cannot listen on" in capsys.readouterr().err

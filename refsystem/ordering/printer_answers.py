"""What a printer sends back, taken apart: status bytes, printed jobs and records of its memory, in one stream.

Status bytes are sent the moment they are asked for, all else when the printing before it is done; so they may come in between,
but never within a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from refsystem.ordering.printer_fence import parse_epoch
from refsystem.ordering.printer_status import STATUS_BYTES, PrinterStatus, is_status_byte, parse_status

_BLOCK, _END = 0x37, 0x00
_PRINTED, _RECORD = 0x22, 0x70
BLOCK_BYTES_MAX = 128


@dataclass(frozen=True, slots=True)
class Printed:
    """Everything before the job with this process id, and that job, is on paper."""

    process_id: bytes


@dataclass(frozen=True, slots=True)
class HeldEpoch:
    """The epoch that the printer's memory holds."""

    epoch: int


Answer = Printed | HeldEpoch | PrinterStatus


class AnswerReader:
    """Collects bytes until they make answers. What is none is passed over."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._status = bytearray()

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that are whole now."""
        self._bytes += data
        answers: list[Answer] = []
        while self._bytes:
            if self._bytes[0] != _BLOCK:
                answers += self._status_byte(self._bytes.pop(0))
                continue
            end = self._bytes.find(_END)
            if end < 0:
                if len(self._bytes) > BLOCK_BYTES_MAX:
                    self._bytes.clear()
                break
            block = bytes(self._bytes[: end + 1])
            del self._bytes[: end + 1]
            answers += _block(block)
        return answers

    def _status_byte(self, byte: int) -> list[Answer]:
        if not is_status_byte(byte):
            return []
        self._status.append(byte)
        if len(self._status) < STATUS_BYTES:
            return []
        told, self._status = bytes(self._status), bytearray()
        return [parse_status(told)]


def _block(block: bytes) -> list[Answer]:
    if block[1] == _PRINTED:
        return [Printed(block[2:-1])]
    if block[1] == _RECORD:
        try:
            return [HeldEpoch(parse_epoch(block))]
        except ValueError:
            return []
    return []

"""What a printer's four status bytes say (the answers to DLE EOT 1 to 4), as the makers' command references define their bits."""

from __future__ import annotations

from dataclasses import dataclass

STATUS_BYTES = 4
_FIXED_MASK, _FIXED = 0x93, 0x12
_OFFLINE = 0x08
_COVER_OPEN, _PAPER_END_STOP, _ERROR = 0x04, 0x20, 0x40
_CUTTER_ERROR, _UNRECOVERABLE = 0x08, 0x20
_NEAR_END, _PAPER_END = 0x0C, 0x60


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """How a printer is. `ready`: what is sent now will be printed, as far as it knows."""

    online: bool
    cover_open: bool
    paper_out: bool
    paper_low: bool
    cutter_jammed: bool
    broken: bool

    @property
    def ready(self) -> bool:
        """Nothing keeps it from printing."""
        return self.online and not (self.cover_open or self.paper_out or self.cutter_jammed or self.broken)

    @property
    def trouble(self) -> str | None:
        """What keeps it from printing, for the staff; None if nothing does."""
        said = (
            (self.paper_out, "out of paper"),
            (self.cover_open, "its cover is open"),
            (self.cutter_jammed, "its cutter is jammed"),
            (self.broken, "it reports an error"),
            (not self.online, "offline"),
        )
        return next((words for is_so, words in said if is_so), None)


def is_status_byte(byte: int) -> bool:
    """Whether a byte can be an answer to a status request."""
    return byte & _FIXED_MASK == _FIXED


def parse_status(answers: bytes) -> PrinterStatus:
    """The status in the four bytes; raises `ValueError` if they are no answers to a status request."""
    if len(answers) != STATUS_BYTES or not all(map(is_status_byte, answers)):
        raise ValueError(f"not a printer's status: {answers.hex() or 'nothing'}")
    printer, offline, error, paper = answers
    jammed, broken = bool(error & _CUTTER_ERROR), bool(error & _UNRECOVERABLE)
    return PrinterStatus(
        online=not printer & _OFFLINE,
        cover_open=bool(offline & _COVER_OPEN),
        paper_out=bool(offline & _PAPER_END_STOP) or paper & _PAPER_END == _PAPER_END,
        paper_low=bool(paper & _NEAR_END),
        cutter_jammed=jammed,
        broken=broken or bool(offline & _ERROR and not jammed),
    )

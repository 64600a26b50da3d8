"""How a printer comes to refuse a sender whose epoch is past (P13): the highest epoch stands in the printer's own memory.

A printer knows nothing of epochs, but it has a small memory that survives a power cut (GS ( C) and serves one connection at a
time. So each connection begins with a question: a higher epoch than one's own, and the sender fences itself and prints nothing; a
lower one is overwritten before the first slip. No other sender comes between, because no other connection is served meanwhile.
A sender that was paused finds its connection closed and asks again.
"""

from __future__ import annotations

_KEY = b"EP"
_STORE, _SEND = 49, 50
_HEAD, _END = b"\x37\x70\x40", b"\x00"
EPOCH_MAX = 10**18

ASK_EPOCH = b"\x1d(C\x05\x00\x00" + bytes((_SEND, 0)) + _KEY
"""The printer answers with what `parse_epoch` reads; the sender then sends `ACKNOWLEDGE`."""
ACKNOWLEDGE = b"\x06"


def store_epoch(epoch: int) -> bytes:
    """Have the printer keep `epoch`. Whether it has is asked by `ASK_EPOCH`. Only when it grows: such memory wears out."""
    assert 0 <= epoch <= EPOCH_MAX, epoch
    digits = str(epoch).encode("ascii")
    length = len(digits) + 5
    return b"\x1d(C" + bytes((length, 0, 0, _STORE, 0)) + _KEY + digits


def parse_epoch(answer: bytes) -> int:
    """The epoch in a complete answer, 0 if none was kept yet; raises `ValueError` if it is no answer to `ASK_EPOCH`."""
    digits = answer[len(_HEAD) : -len(_END)]
    if not (answer.startswith(_HEAD) and answer.endswith(_END) and len(digits) <= len(str(EPOCH_MAX))):
        raise ValueError(f"not a printer's record: {answer.hex() or 'nothing'}")
    if digits and not digits.isdigit():
        raise ValueError(f"the printer's record EP holds no epoch: {digits!r}")
    return int(digits or b"0")

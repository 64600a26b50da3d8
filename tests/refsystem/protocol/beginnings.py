"""Conversations that have begun: a pair, one device alone, a standby, a device that joins."""

from __future__ import annotations

from conversation import Conversation

from refsystem.protocol.break_glass import BreakGlass

PAIR = "log L = 2:k1\nboot a1 log=L epoch=2 commit=1\nregister 2 a1 a1,b1 earlier\ngranted\npersisted\n"
MATCHED = PAIR + "appended 3 b1 matched=1\n"
ALONE = "log L = 2:k1\nboot a1 log=L epoch=2 commit=1\nregister 2 a1 a1 earlier\ngranted\npersisted\n"
STANDBY = "log L = 2:k1\nboot b1 log=L epoch=2 commit=1\nregister 2 a1 a1,b1 other\n"
JOINING = "log B = 2:k1 2:x\nboot b1 log=B epoch=2 commit=1\nregister 3 a1 a1 other\npersisted\n"
WORD = BreakGlass(("a1",), "Li", "burnt down")


def played(text: str) -> Conversation:
    conversation = Conversation()
    for line in text.strip().splitlines():
        conversation.put(line.strip())
    return conversation


def reconciling(more: str = "") -> Conversation:
    """B is named at epoch 4 and the cloud has not answered yet."""
    return played(JOINING + "glass a1\npersisted\nregister 3 a1 a1 other\ngranted\npersisted\n" + more)

"""The toxic that makes a link lossy: packets are lost in bursts, and TCP repairs each loss by waiting.

A proxy of TCP cannot lose a segment without corrupting the stream, so a loss is rendered as what the receiver sees of it: a
stall until the retransmission, and a sender that has slowed down. No byte is ever missing.

Losses follow Gilbert and Elliott, with the parameters of netem's `loss gemodel`: a link is good or bad; a packet is lost with
probability 1-k while it is good and 1-h while it is bad; after each packet it turns bad with probability p, or good again
with r. The mean loss is (p(1-h) + r(1-k)) / (p + r), a bad time lasts 1/r packets in the mean.

The rate of a sender that meets losses follows Mathis, Semke, Mahdavi and Ott, "The macroscopic behavior of the TCP congestion
avoidance algorithm" (1997): MSS / RTT · sqrt(3/2) / sqrt(q), where q is the number of loss *events* for each packet, since a
sender slows down once for all the losses of one burst.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, NamedTuple, Self

from chaos.proxy.toxics.base import CHUNK_BYTES_MAX, HELD_BYTES_MAX, Attributes, Chunk, Closing, Item, Stage
from chaos.proxy.toxics.fields import attribute

SEGMENT_BYTES = 1500
LOSSES_MAX = 15
RTO_MAX_MS = 120_000
MATHIS_CONSTANT = math.sqrt(3 / 2)

_OF_NETEM = frozenset({"p", "r", "loss_bad", "loss_good"})
_OF_MEANS = frozenset({"loss_percent", "burst_packets"})


class Chain(NamedTuple):
    """The four probabilities of Gilbert and Elliott, for each packet."""

    turns_bad: float
    turns_good: float
    loss_bad: float
    loss_good: float

    @property
    def share_bad(self) -> float:
        """The share of packets that meet the link while it is bad."""
        total = self.turns_bad + self.turns_good
        return self.turns_bad / total if total else 0.0

    @property
    def mean_loss(self) -> float:
        """The share of packets that is lost."""
        return self.share_bad * self.loss_bad + (1 - self.share_bad) * self.loss_good

    @property
    def loss_events(self) -> float:
        """Loss events for each packet: bad times in which something is lost, and losses in good times."""
        good = 1 - self.share_bad
        if not self.turns_good:
            return self.mean_loss
        survives = self.turns_good * (1 - self.loss_bad) / (1 - (1 - self.turns_good) * (1 - self.loss_bad))
        return good * self.turns_bad * (1 - survives) + good * self.loss_good


@dataclass(frozen=True, slots=True)
class BurstLoss(Attributes):
    """Either `loss_percent` and `burst_packets` (the means), or `p`, `r`, `1-h` and `1-k` (shares of 1, as above).

    Without `burst_packets` the losses are independent. Without `r` it is 1 - p (independent losses, as netem has it), without
    `1-h` everything is lost while the link is bad, without `1-k` nothing while it is good. A lost packet comes `rto_ms` later,
    the time doubled for each further loss of the same packet. With the round trip `rtt_ms`, the rate goes down as well.
    """

    p: float | None = attribute(None, high=1)
    r: float | None = attribute(None, high=1)
    loss_bad: float | None = attribute(None, name="1-h", high=1)
    loss_good: float | None = attribute(None, name="1-k", high=1)
    loss_percent: float | None = attribute(None, high=100)
    burst_packets: float | None = attribute(None, low=1, high=1_000_000)
    rto_ms: int = attribute(200, low=1, high=RTO_MAX_MS)
    rtt_ms: int = attribute(0, high=3_600_000)

    def __post_init__(self) -> None:
        super(BurstLoss, self).__post_init__()
        given = {name for name in _OF_NETEM | _OF_MEANS if getattr(self, name) is not None}
        if given & _OF_NETEM and given & _OF_MEANS:
            raise ValueError("give either loss_percent and burst_packets, or p, r, 1-h and 1-k, not both")
        if given & _OF_NETEM and "p" not in given:
            raise ValueError("r, 1-h and 1-k need p, the probability that the link turns bad")
        if self.burst_packets is not None:
            self._check_burst(self.burst_packets)

    def _check_burst(self, burst_packets: float) -> None:
        if self.loss_percent is None:
            raise ValueError("burst_packets needs loss_percent, the mean loss")
        if self.chain.turns_bad > 1:
            least = self.loss_percent / (100 - self.loss_percent) if self.loss_percent < 100 else math.inf
            needs = f"a loss of {self.loss_percent:g} % needs bursts of at least {least:g} packets"
            raise ValueError(f"{needs}, not {burst_packets:g}")

    @property
    def chain(self) -> Chain:
        """The probabilities that were given, or those that have the means that were given."""
        if self.p is not None:
            turns_good = 1 - self.p if self.r is None else self.r
            return Chain(self.p, turns_good, 1.0 if self.loss_bad is None else self.loss_bad, self.loss_good or 0.0)
        loss = (self.loss_percent or 0.0) / 100
        if self.burst_packets is None:
            return Chain(loss, 1 - loss, 1.0, 0.0)
        turns_good = 1 / self.burst_packets
        return Chain(turns_good * loss / (1 - loss) if loss < 1 else math.inf, turns_good, 1.0, 0.0)

    @property
    def rate_bytes_s(self) -> float | None:
        """What Mathis leaves of the rate; None: all of it."""
        events = self.chain.loss_events
        if not self.rtt_ms or not events:
            return None
        return SEGMENT_BYTES * 1000 / self.rtt_ms * MATHIS_CONSTANT / math.sqrt(events)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Of the two ways to say how much is lost, the one that is given takes the other's place."""
        named = {name for name, value in changes.items() if value is not None}
        for given, dropped in ((_OF_NETEM, _OF_MEANS), (_OF_MEANS, _OF_NETEM)):
            if named & given and not named & dropped:
                changes = {**dict.fromkeys(dropped), **changes}
        return dataclasses.replace(self, **changes)

    def ramped(self, share: float) -> Self:
        """The loss grows; how long it lasts and what it costs are the same from the beginning."""
        names = ("p", "loss_good", "loss_percent")
        grown: dict[str, Any] = {name: share * getattr(self, name) for name in names if getattr(self, name) is not None}
        return dataclasses.replace(self, **grown)

    def stage(self, draws: Random, now: float) -> Stage[Attributes]:
        """A stage that loses and repeats packets."""
        return BurstLossStage(self, now, draws)


class BurstLossStage(Stage[BurstLoss]):
    """Cuts chunks into packets, draws the fate of each, and lets it leave when a transmission has come through.

    What comes in one chunk is one flight: its packets are sent one after the other, then those that were lost, and so on;
    each transmission is a step of the chain. A packet waits for those before it, as in TCP. After `LOSSES_MAX` losses of
    one packet the sender gives up, as Linux does, and the connection closes.
    """

    AHEAD_S: ClassVar[float] = 0.02
    HELD_PACKETS_MAX: ClassVar[int] = 16_384

    def __init__(self, attributes: BurstLoss, now: float, draws: Random) -> None:
        super().__init__(attributes, now)
        self._draws = draws
        self._losses: deque[int] = deque()
        self._held_bytes = 0
        self._paced_until = now
        self._seen_at = now
        self._take_over(attributes)
        self._is_bad = draws.random() < self._chain.share_bad

    @property
    def full(self) -> bool:
        """Whether the sender is some way ahead of its rate, or the stage has reached its bound."""
        return self._is_ahead or self._held_bytes >= HELD_BYTES_MAX or len(self._held) >= self.HELD_PACKETS_MAX

    def put(self, item: Item, now: float) -> None:
        """Take in an item; of a chunk, send all packets and draw how often each is lost."""
        self._seen_at = now
        if not isinstance(item, Chunk):
            super().put(item, now)
            return
        packets = [item.data[start : start + SEGMENT_BYTES] for start in range(0, len(item.data), SEGMENT_BYTES)]
        for packet, losses in zip(packets, self._losses_of(len(packets)), strict=True):
            self._paced_until = max(self._paced_until, now)
            if self._rate_bytes_s is not None:
                self._paced_until += len(packet) / self._rate_bytes_s
            super().put(Chunk(packet, self._paced_until), now)
            self._losses.append(losses)
            self._held_bytes += len(packet)

    def take(self, now: float) -> Item | None:
        """What has come through by now, in order, up to one chunk."""
        self._seen_at = now
        parts: list[bytes] = []
        length_bytes = 0
        at = 0.0
        while length_bytes + SEGMENT_BYTES <= CHUNK_BYTES_MAX:
            due = self._head_due()
            if due is None or due > now:
                break
            head = self._held[0]
            if not isinstance(head, Chunk) or self._losses[0] > LOSSES_MAX:
                return Chunk(b"".join(parts), at) if parts else self._take_end()
            self._held.popleft()
            self._losses.popleft()
            parts.append(head.data)
            length_bytes += len(head.data)
            self._held_bytes -= len(head.data)
            at = max(at, due)
        return Chunk(b"".join(parts), at) if parts else None

    def due(self) -> float | None:
        """When the first packet comes through, or when the sender may go on, whichever is earlier."""
        due = self._head_due()
        if due is None or not self._is_ahead:
            return due
        return min(due, self._paced_until - self.AHEAD_S)

    def update(self, attributes: Attributes, now: float) -> None:
        """Go on with other probabilities and another rate; what is lost already comes after the new time-outs."""
        old_rate = self._rate_bytes_s
        super().update(attributes, now)
        self._take_over(self.attributes)
        if old_rate is not None and self._rate_bytes_s != old_rate:
            faster = 0.0 if self._rate_bytes_s is None else old_rate / self._rate_bytes_s
            self._paced_until = _sooner(self._paced_until, now, faster)
            self._held = deque(
                Chunk(item.data, _sooner(item.received_at, now, faster)) if isinstance(item, Chunk) else item
                for item in self._held
            )

    def flush(self) -> list[Item]:
        """Everything in flight, in order."""
        self._losses.clear()
        self._held_bytes = 0
        return super().flush()

    @property
    def _is_ahead(self) -> bool:
        """Whether more was taken in than the rate lets leave in the next moment."""
        return self._seen_at < self._paced_until - self.AHEAD_S

    def _take_over(self, attributes: BurstLoss) -> None:
        self._chain = attributes.chain
        self._rate_bytes_s = attributes.rate_bytes_s

    def _take_end(self) -> Item:
        """The closing that stands first, or the end of a connection whose sender has given up."""
        if not isinstance(self._held[0], Chunk):
            return self._held.popleft()
        self.flush()
        self.act("given_up")
        return Closing.FULL

    def _head_due(self) -> float | None:
        if not self._held:
            return None
        head = self._held[0]
        return head.received_at + self._stall_s(self._losses[0]) if isinstance(head, Chunk) else 0.0

    def _stall_s(self, losses: int) -> float:
        """How long a packet that was lost so many times takes longer than others."""
        rto_ms = self.attributes.rto_ms
        return sum((min(rto_ms << number, RTO_MAX_MS) for number in range(losses)), start=0) / 1000

    def _losses_of(self, count: int) -> list[int]:
        """How often each packet of a flight is lost; more than `LOSSES_MAX` means that it never comes through."""
        losses = [0] * count
        under_way = list(range(count))
        for _ in range(LOSSES_MAX + 1):
            under_way = [number for number in under_way if self._is_lost()]
            for number in under_way:
                losses[number] += 1
        return losses

    def _is_lost(self) -> bool:
        """The next step of the chain."""
        lost = self._draws.random() < (self._chain.loss_bad if self._is_bad else self._chain.loss_good)
        turns = self._draws.random() < (self._chain.turns_good if self._is_bad else self._chain.turns_bad)
        self._is_bad ^= turns
        if lost:
            self.act("lost")
        return lost


def _sooner(at: float, now: float, factor: float) -> float:
    """A moment to come, in a time that is so many times as long; one that has been stays."""
    return at if at <= now else now + (at - now) * factor

"""The protocol's time-outs and limits. Liveness depends on them, safety never does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in microseconds, limits as counts. `time_scale` never touches these."""

    heartbeat_us: int = 100_000
    standby_timeout_us: int = 900_000
    primary_timeout_us: int = 700_000
    register_retry_us: int = 400_000
    join_interval_us: int = 200_000
    resend_us: int = 600_000
    flush_limit_us: int = 3_000_000
    request_timeout_us: int = 5_000_000
    entries_per_append_max: int = 200
    entries_in_flight_max: int = 1_000
    grow_lag_max: int = 64
    waiting_max: int = 2_000
    uncommitted_max: int = 5_000
    known_places_max: int = 40
    entries_per_batch_max: int = 200
    entries_per_branch_answer_max: int = 200


DEFAULT_TIMING = Timing()

"""Queueing theory in closed form, as far as the model is held against it. Rates are per unit of time, whatever that is.

`arrival` is λ, `service` μ of one server, `servers` c; offered load a = λ/μ. Sources: Erlang 1917; Kleinrock, "Queueing
Systems" 1 (1975); Garnett, Mandelbaum, Reiman 2002 for abandonment; Cobham 1954 for priorities; Eick, Massey, Whitt 1993 for
M_t/G/∞; Reiser, Lavenberg 1980 for mean value analysis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

Chances = npt.NDArray[np.float64]


def erlang_b(servers: int, load: float) -> float:
    """Share of arrivals lost in M/M/c/c (and M/G/c/c)."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


@dataclass(frozen=True, slots=True)
class MMc:
    """M/M/c; λ < cμ."""

    arrival: float
    service: float
    servers: int

    @property
    def waits(self) -> float:
        """Share of arrivals that wait (Erlang C)."""
        blocked, busy = (
            erlang_b(self.servers, self.arrival / self.service),
            self.arrival / (self.servers * self.service),
        )
        return blocked / (1 - busy * (1 - blocked))

    @property
    def spare(self) -> float:
        """cμ - λ."""
        return self.servers * self.service - self.arrival

    @property
    def wait(self) -> float:
        """Mean time in the queue."""
        return self.waits / self.spare

    def wait_beyond(self, time: float) -> float:
        """Share of arrivals that wait longer than this."""
        return self.waits * math.exp(-self.spare * time)

    def wait_quantile(self, share: float) -> float:
        """The time that this share of arrivals does not exceed in the queue."""
        return max(0.0, math.log(self.waits / (1 - share)) / self.spare)

    def stay_beyond(self, time: float) -> float:
        """Share of arrivals that are in the system longer than this."""
        theta, mu = self.spare, self.service
        own = (1 - self.waits) * math.exp(-mu * time)
        if math.isclose(theta, mu, rel_tol=1e-9):
            return own + self.waits * (1 + mu * time) * math.exp(-mu * time)
        return own + self.waits * (theta * math.exp(-mu * time) - mu * math.exp(-theta * time)) / (theta - mu)


def mmck(arrival: float, service: float, servers: int, places: int) -> tuple[float, float]:
    """M/M/c/K: the share of arrivals lost, and the mean wait of those who come in."""
    load = arrival / service
    weights = [
        load**n / math.factorial(n)
        if n <= servers
        else load**n / (math.factorial(servers) * float(servers) ** (n - servers))
        for n in range(places + 1)
    ]
    chances = [weight / math.fsum(weights) for weight in weights]
    lost = chances[places]
    queue = math.fsum(max(0, n - servers) * chance for n, chance in enumerate(chances))
    return lost, queue / (arrival * (1 - lost))


@dataclass(frozen=True, slots=True)
class MMcM:
    """M/M/c+M: who waits goes away at rate `leaving` each (Erlang A)."""

    arrival: float
    service: float
    servers: int
    leaving: float

    @property
    def _sum(self) -> float:
        x, y = self.servers * self.service / self.leaving, self.arrival / self.leaving
        total, term, number = 1.0, 1.0, 0
        while term > 1e-17 * total:
            number += 1
            term *= y / (x + number)
            total += term
        return total

    @property
    def waits(self) -> float:
        """Share of arrivals that find no free server."""
        blocked, total = erlang_b(self.servers, self.arrival / self.service), self._sum
        return total * blocked / (1 + (total - 1) * blocked)

    @property
    def leaves(self) -> float:
        """Share of arrivals that go away unserved."""
        busy = self.arrival / (self.servers * self.service)
        return self.waits * (1 / (busy * self._sum) + 1 - 1 / busy)

    @property
    def wait(self) -> float:
        """Mean time in the queue, of those who leave it unserved too."""
        return self.leaves / self.leaving


def mg1_wait(arrival: float, moments: Sequence[float]) -> tuple[float, float]:
    """M/G/1: first and second moment of the wait; `moments` are E[S], E[S²], E[S³] (Pollaczek, Khinchine)."""
    busy = arrival * moments[0]
    wait = arrival * moments[1] / (2 * (1 - busy))
    return wait, 2 * wait**2 + arrival * moments[2] / (3 * (1 - busy))


def mg1_priority_waits(arrivals: Sequence[float], moments: Sequence[tuple[float, float]]) -> list[float]:
    """M/G/1 with priorities, nobody interrupted: mean wait of each class, the first before all; `moments` are (E[S], E[S²])."""
    rest = math.fsum(rate * second for rate, (_, second) in zip(arrivals, moments, strict=True)) / 2
    waits, before = [], 0.0
    for rate, (mean, _) in zip(arrivals, moments, strict=True):
        upto = before + rate * mean
        waits.append(rest / ((1 - before) * (1 - upto)))
        before = upto
    return waits


def lognormal_moments(mean: float, variation: float) -> tuple[float, float, float]:
    """E[S], E[S²], E[S³] of a lognormal time."""
    factor = 1 + variation**2
    return mean, mean**2 * factor, mean**3 * factor**3


def infinite_servers_sinusoid(mean_rate: float, swing: float, frequency: float, service: float, time: float) -> float:
    """Mean number in M_t/M/∞ with rate `mean_rate + swing sin(frequency t)`, after long; `service` is the mean time of one."""
    turn = frequency * service
    return service * (
        mean_rate + swing * (math.sin(frequency * time) - turn * math.cos(frequency * time)) / (1 + turn**2)
    )


def infinite_servers(
    rate: Callable[[float], float], stays: Callable[[float], float], time: float, steps: int = 4_000
) -> float:
    """Mean number in M_t/G/∞ at `time`, empty at 0: ∫ λ(u) P(S > t - u) du; the number is Poisson with this mean."""
    at = (np.arange(steps) + 0.5) * time / steps
    return float(sum(rate(each) * stays(time - each) for each in at) * time / steps)


def varying_queue(
    rate: Callable[[float], float],
    service: float,
    servers: Sequence[tuple[float, int]],
    leaving: float,
    times: Sequence[float],
    places: int,
) -> npt.NDArray[np.float64]:
    """M_t/M/c_t+M, empty at 0: the chances (times, 0 … surplus, 0 … places) of who is served beyond c_t and of all inside.

    `servers` are (from when, c_t), the first from 0 on; `times` ascend. Where c_t falls, who is served is served to the end (the
    surplus), and nobody is put in their place; where a service is broken off instead, the chain needs no surplus.
    """
    counts = [count for _, count in servers]
    surplus = max(counts) - min(counts)
    inside, beyond = np.meshgrid(np.arange(places + 1), np.arange(surplus + 1))

    def served(number: int) -> npt.NDArray[np.int64]:
        return np.asarray(np.minimum(inside, counts[number] + beyond))

    def enter(number: int, chances: Chances) -> Chances:
        moved = np.zeros_like(chances)
        now_beyond = np.clip(served(number - 1) - counts[number], 0, surplus)  # what is more than that has no chance
        np.add.at(moved, (now_beyond, inside), chances)
        return moved

    def flow(number: int, time: float, old: Chances) -> Chances:
        done, away = served(number) * service * old, (inside - served(number)) * leaving * old
        come = rate(time) * old
        come[:, -1] = 0.0
        change = -come - done - away
        change[:, 1:] += come[:, :-1]
        change[:, :-1] += away[:, 1:]
        change[:-1, :-1] += done[1:, 1:]
        change[0, :-1] += done[0, 1:]
        return change

    chances = np.zeros((surplus + 1, places + 1))
    chances[0, 0] = 1.0
    return _integrate([begin for begin, _ in servers], chances, enter, flow, times)


def server_of_speeds(
    arrival: float, speeds: Sequence[tuple[float, float]], times: Sequence[float], places: int
) -> npt.NDArray[np.float64]:
    """M/M/1, empty at 0, whose server changes its speed: the chances (times, 0 … places) of each number inside, integrated.

    `speeds` are (from when, μ), the first from 0 on; `times` ascend. A service keeps the speed at which it began, so the chain
    holds the number inside and the speed of the service that goes on.
    """
    rates = np.array([rate for _, rate in speeds])[:, None]

    def flow(number: int, time: float, old: Chances) -> Chances:
        change, come, leave = np.zeros_like(old), arrival * old, rates * old
        come[:, -1] = leave[:, 0] = 0.0
        change -= come + leave
        change[number, 1] += come[0, 0]
        change[:, 2:] += come[:, 1:-1]
        change[0, 0] += leave[:, 1].sum()
        change[number, 1:-1] += leave[:, 2:].sum(axis=0)
        return change

    chances = np.zeros((len(speeds), places + 1))  # nobody inside: in row 0
    chances[0, 0] = 1.0
    found = _integrate([begin for begin, _ in speeds], chances, lambda number, old: old, flow, times)
    return np.asarray(found.sum(axis=1))


def _integrate(
    begins: Sequence[float],
    chances: Chances,
    enter: Callable[[int, Chances], Chances],
    flow: Callable[[int, float, Chances], Chances],
    times: Sequence[float],
) -> npt.NDArray[np.float64]:
    """The chances at these times, piece by piece: a piece begins at each of `begins`, where all but the first are entered by
    `enter`, and changes them by `flow`."""
    shape, found = chances.shape, []
    for number, (begin, end) in enumerate(itertools.pairwise([*begins, math.inf])):
        until = min(end, max(times))
        if until <= begin:
            break
        if number:
            chances = enter(number, chances)
        shown = [time for time in times if begin <= time < end]

        def change(time: float, flat: npt.NDArray[np.float64], number: int = number) -> npt.NDArray[np.float64]:
            return flow(number, time, flat.reshape(shape)).ravel()

        at = [*shown, *([end] if end == until else [])]
        solved = solve_ivp(change, (begin, until), chances.ravel(), t_eval=at, rtol=1e-8, atol=1e-10)
        states = solved.y.T.reshape(-1, *shape)
        found += list(states[: len(shown)])
        chances = states[-1]
    return np.array(found)


def jackson_flows(outside: Sequence[float], routes: Sequence[Sequence[float]]) -> list[float]:
    """Flow through each node of an open network: λ_i = outside_i + Σ λ_j P_ji."""
    size = len(outside)
    matrix = np.eye(size) - np.array(routes, dtype=np.float64).T
    return [float(flow) for flow in np.linalg.solve(matrix, np.array(outside, dtype=np.float64))]


def closed_throughput(customers: int, demands: Sequence[float], think: float) -> float:
    """Exact mean value analysis of single-server nodes and a delay: visits a unit of time."""
    queues = [0.0] * len(demands)
    rate = 0.0
    for number in range(1, customers + 1):
        times = [demand * (1 + queue) for demand, queue in zip(demands, queues, strict=True)]
        rate = number / (think + math.fsum(times))
        queues = [rate * time for time in times]
    return rate


def closed_bounds(customers: int, demands: Sequence[float], think: float) -> tuple[float, float]:
    """The most that a closed network can do, and the number of customers from which its bottleneck holds it back (N*)."""
    most, all_of_them = max(demands), math.fsum(demands)
    return min(1 / most, customers / (all_of_them + think)), (all_of_them + think) / most


def kiefer_wolfowitz(arrivals: Sequence[int], services: Sequence[int], servers: int) -> list[int]:
    """First come, first served by c servers: when each begins, start_n = max(a_n, first free server); exact on integers."""
    free = [0] * servers
    begins = []
    for arrival, service in zip(arrivals, services, strict=True):
        first = min(range(servers), key=free.__getitem__)
        begin = max(arrival, free[first])
        free[first] = begin + service
        begins.append(begin)
    return begins


def lindley(arrivals: Sequence[int], services: Sequence[int]) -> list[int]:
    """Waits of first come, first served by one server: W_{n+1} = (W_n + S_n - T_{n+1})⁺; exact on integers."""
    waits = [0] if arrivals else []
    for number in range(1, len(arrivals)):
        gap = arrivals[number] - arrivals[number - 1]
        waits.append(max(0, waits[-1] + services[number - 1] - gap))
    return waits


def vulnerable_band(service: float, servers: int, attempts: int) -> tuple[float, float]:
    """Arrival rates at which a retry storm can outlive its trigger: cμ/R < λ < cμ, with R attempts of full work each."""
    capacity = servers * service
    return capacity / attempts, capacity

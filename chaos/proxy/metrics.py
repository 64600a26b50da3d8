"""What `/metrics` tells Prometheus: the bytes that passed each proxy, and facts of the process.

The names are Toxiproxy's: `toxiproxy_proxy_received_bytes_total` and `toxiproxy_proxy_sent_bytes_total`, each by direction,
proxy, listener and upstream. The process is described by `process_*`, and by `python_*` where the original has `go_*`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from chaos.proxy.proxy import Proxy
from chaos.proxy.toxics import Direction

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RECEIVED = "toxiproxy_proxy_received_bytes"
SENT = "toxiproxy_proxy_sent_bytes"
HELP = {
    RECEIVED: "Bytes that a proxy has received, by direction.",
    SENT: "Bytes that a proxy has passed on, by direction.",
}


class Series(NamedTuple):
    """What one counter counts; the fields after `metric` are its labels."""

    metric: str
    direction: str
    proxy: str
    listener: str
    upstream: str


class TrafficCollector(Collector):
    """Counts bytes by proxy and address.

    A counter never falls: what a proxy has counted under an address stays counted there when the proxy moves or goes.
    """

    def __init__(self, proxies: Callable[[], Iterable[Proxy]]) -> None:
        self._proxies = proxies
        self._settled: Counter[Series] = Counter()
        self._settled_of: WeakKeyDictionary[Proxy, Counter[tuple[str, str]]] = WeakKeyDictionary()

    def settle(self, proxy: Proxy) -> None:
        """Book what a proxy has counted so far under the addresses that it is about to leave."""
        for series, count in self._unsettled(proxy):
            if count:
                self._settled[series] += count
                self._settled_of.setdefault(proxy, Counter())[series.metric, series.direction] += count

    def collect(self) -> Iterable[Metric]:
        """Both metrics, with a sample for each series."""
        totals = Counter(self._settled)
        for proxy in self._proxies():
            for series, count in self._unsettled(proxy):
                totals[series] += count
        families = {
            metric: CounterMetricFamily(metric, text, labels=Series._fields[1:]) for metric, text in HELP.items()
        }
        for series, total in sorted(totals.items()):
            families[series.metric].add_metric(series[1:], total)
        return families.values()

    def _unsettled(self, proxy: Proxy) -> Iterable[tuple[Series, int]]:
        settled = self._settled_of.get(proxy, Counter())
        for direction in Direction:
            traffic = proxy.traffic[direction]
            for metric, count in ((RECEIVED, traffic.received_bytes), (SENT, traffic.sent_bytes)):
                series = Series(metric, direction.value, proxy.name, proxy.listen, proxy.upstream)
                yield series, count - settled[metric, direction.value]


def make_registry(traffic: TrafficCollector | None, *, runtime: bool) -> CollectorRegistry:
    """What `/metrics` shows."""
    registry = CollectorRegistry()
    if traffic is not None:
        registry.register(traffic)
    if runtime:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The registry in Prometheus's text format."""
    return generate_latest(registry)

"""Prometheus metrics of the API: counters of this process, and gauges read at scrape time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True)
class WorkerFigures:
    """What is shown of one slot."""

    slot: str
    model: str
    state: str
    model_loads: int
    shifts: int
    in_flight: int


@dataclass(frozen=True)
class Figures:
    """What the store says at one moment; `jobs` counts by (model, state)."""

    jobs: Mapping[tuple[str, str], int]
    workers: Sequence[WorkerFigures]


class Metrics:
    """One registry per app, so that two apps in one process do not share counters."""

    def __init__(self, read: Callable[[], Figures]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "autoglm_http_requests",
            "HTTP requests by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "autoglm_http_request_seconds",
            "Time to answer a request, long polls included.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Store(read))

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answered request. `route` is the rule, never the path with its ids."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self) -> bytes:
        """The text a Prometheus server reads."""
        return generate_latest(self._registry)


class _Store(Collector):
    """Asks the store when Prometheus asks us."""

    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Keeps registration from asking the store."""
        return ()

    def collect(self) -> Iterator[Metric]:
        figures = self._read()
        yield _count_jobs(figures)
        yield from _show_workers(figures.workers)


def _count_jobs(figures: Figures) -> Metric:
    jobs = GaugeMetricFamily("autoglm_jobs", "Stored jobs.", labels=("model", "state"))
    for labels, number in figures.jobs.items():
        jobs.add_metric(labels, number)
    return jobs


def _show_workers(workers: Sequence[WorkerFigures]) -> Iterator[Metric]:
    labels = ("slot", "model")
    loads = CounterMetricFamily("autoglm_model_loads", "Model loads of a slot.", labels=labels)
    shifts = CounterMetricFamily("autoglm_shifts", "Shifts of a slot.", labels=labels)
    in_flight = GaugeMetricFamily("autoglm_in_flight", "Jobs in the engine.", labels=labels)
    state = GaugeMetricFamily(
        "autoglm_worker_state", "1 for the state a worker says it is in.", labels=(*labels, "state")
    )
    for worker in workers:
        where = (worker.slot, worker.model)
        loads.add_metric(where, worker.model_loads)
        shifts.add_metric(where, worker.shifts)
        in_flight.add_metric(where, worker.in_flight)
        state.add_metric((*where, worker.state), 1)
    yield from (loads, shifts, in_flight, state)

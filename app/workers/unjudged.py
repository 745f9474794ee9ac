"""Answers that left the engine and must be judged by the clerk before they count."""

from app.inference.engine import Output
from app.wire.rows import Job
from app.workers.orders import Order


class Unjudged:
    """By request id; the tray's lock is held by every caller."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[Order, Output]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, order: Order, output: Output) -> None:
        self._answers[output.id] = (order, output)

    def list_all(self) -> list[tuple[Order, Output]]:
        return list(self._answers.values())

    def pop(self, order: Order) -> bool:
        """Whether it still waited."""
        return self._answers.pop(order.request.id, None) is not None

    def clear(self) -> None:
        self._answers.clear()

    @property
    def jobs(self) -> list[Job]:
        return [order.job for order, _ in self._answers.values()]

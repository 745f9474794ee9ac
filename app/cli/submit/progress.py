"""Shows how far a submission is: a bar on a terminal, plain lines elsewhere, or nothing."""

import time
from typing import Protocol, TextIO

import click

from app import cli
from app.cli import client

LINE_SECONDS = 10.0


class Display(Protocol):
    """Where a submission reports to while it runs."""

    def say(self, text: str) -> None:
        """Prints one line of text."""

    def show(self, done: int, total: int) -> None:
        """`done` of `total` lines have ended."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


class Silent:
    """Reports nothing."""

    def say(self, text: str) -> None:
        pass

    def show(self, done: int, total: int) -> None:
        pass

    def close(self) -> None:
        pass


class Plain:
    """One line at most every ten seconds, and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rate = Rate()
        self._shown: tuple[float, int] | None = None

    def say(self, text: str) -> None:
        click.echo(text, file=self._stream)

    def show(self, done: int, total: int) -> None:
        self._rate.add(done)
        if self._is_due(done, total):
            self._shown = (time.monotonic(), done)
            self.say(_describe(done, total, self._rate.per_second))

    def close(self) -> None:
        pass

    def _is_due(self, done: int, total: int) -> bool:
        if self._shown is None:
            return True
        at, last = self._shown
        return done != last and (done == total or time.monotonic() - at >= LINE_SECONDS)


class Bar:
    """A live bar with counts, rate and remaining time."""

    def __init__(self, stream: TextIO) -> None:
        from rich import console, progress  # here, because only a terminal needs their 0.1 s

        self._rate = Rate()
        self._progress = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[pace]}"),
            console=console.Console(file=stream),
        )
        self._task = self._progress.add_task("", total=None, pace="")
        self._progress.start()

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def show(self, done: int, total: int) -> None:
        self._rate.add(done)
        pace = _pace(done, total, self._rate.per_second)
        self._progress.update(self._task, completed=done, total=total, pace=pace, refresh=True)

    def close(self) -> None:
        self._progress.stop()


class Rate:
    """Lines per second over about the last half minute."""

    WINDOW_SECONDS = 30.0

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = []

    def add(self, done: int) -> None:
        now = time.monotonic()
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] > self.WINDOW_SECONDS:
            self._points.pop(0)

    @property
    def per_second(self) -> float:
        if len(self._points) < 2:
            return 0.0
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / max(end - start, 0.001)


class Pauses:
    """Says once what the client waits for, then every ten seconds that it still does."""

    def __init__(self, display: Display, url: str) -> None:
        self._display = display
        self._url = url
        self._said_at: float | None = None

    def __call__(self, pause: client.Pause) -> None:
        now = time.monotonic()
        is_new = pause.waited < client.FIRST_DELAY_SECONDS or self._said_at is None
        if is_new or now - (self._said_at or now) >= LINE_SECONDS:
            self._said_at = now
            seconds = f"{pause.seconds:.1f}"
            text = cli.say("submit.waiting", url=self._url, reason=pause.reason, seconds=seconds)
            self._display.say(text)


def open_display(stream: TextIO, *, quiet: bool) -> Display:
    if quiet:
        return Silent()
    return Bar(stream) if stream.isatty() else Plain(stream)


def _describe(done: int, total: int, rate: float) -> str:
    return f"{done}/{total} ({done * 100 // max(total, 1)}%) {_pace(done, total, rate)}".rstrip()


def _pace(done: int, total: int, rate: float) -> str:
    """Rate and remaining time; nothing before the first line has ended."""
    if not rate:
        return ""
    left = _clock((total - done) / rate)
    return cli.say("submit.pace", rate=f"{rate:.1f}", left=left)


def _clock(seconds: float) -> str:
    """h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"

"""How long OpenMP's threads stay awake for each other: long while the processors are free, briefly
while others want them.

A step is hundreds of short parallel regions. A thread that sleeps between two of them must be woken
for each, which costs a fifth of the speed on a virtual machine; a thread that spins on a processor
that others want starves the very thread it waits for, which costs far more (docs/discussions.md).
libgomp reads its spin count once, but spins only briefly as long as it manages more threads than
there are processors (https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html): a `Brake`
makes idle ones.
"""

import contextlib
import ctypes
import functools
import os
import threading
import time
from pathlib import Path

from app import settings

WINDOW_SECONDS = 0.5
WAITING_LIMIT = 0.2  # of what our threads wanted of the processors, what they had to wait for
MIN_BUSY = 0.5  # a window in which they computed for less than this share says nothing
FIRST_PAUSE, LONGEST_PAUSE = 8, 128  # windows
CALM_WINDOWS = 20


class Brake:
    """Makes libgomp spin briefly while it is pulled."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    def pull(self) -> None:
        """Does nothing if it is pulled."""
        if self._thread is None:
            self._released.clear()
            self._thread = threading.Thread(target=self._crowd, name="brake", daemon=True)
            self._thread.start()

    def release(self) -> None:
        """Does nothing if it is released."""
        if self._thread is not None:
            self._released.set()
            self._thread.join()
            self._thread = None

    def _crowd(self) -> None:
        """A team belongs to the thread that made it: it sleeps until that thread ends."""
        work = ctypes.cast(self._library.omp_get_num_threads, ctypes.c_void_p)
        self._library.GOMP_parallel(work, None, ctypes.c_uint((os.cpu_count() or 1) + 1), 0)
        self._released.wait()


class Rhythm:
    """Decides from one window after the other when the brake is pulled: where others want the
    processors, for a while that doubles as long as each trial without it shows the same."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE
        self._left = 0  # windows until the next trial
        self._calm = 0

    def decide(self, computed: float, waited: float) -> bool:
        """Whether to pull it in the next window, after one in which our threads computed and waited
        for a processor for so many seconds."""
        if self._left:
            self._left -= 1
        elif computed >= MIN_BUSY * WINDOW_SECONDS:
            self._judge(waited / (computed + waited))
        return self._left > 0

    def _judge(self, share: float) -> None:
        if share > WAITING_LIMIT:
            self._left, self._calm = self._pause, 0
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            return
        self._calm += 1
        if self._calm >= CALM_WINDOWS:
            self._pause = FIRST_PAUSE


@functools.cache
def start() -> None:
    """Watches over this process's threads from one of its own, unless the environment says how long
    they spin. Where the kernel does not tell who waits, they spin briefly for good."""
    if any(map(settings.variable, ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"))):
        return
    library = _find_library()
    if library is None:
        return
    brake = Brake(library)
    if read_waits() is None:
        brake.pull()
        return
    threading.Thread(target=_watch, args=(brake,), name="spinning", daemon=True).start()


def _watch(brake: Brake) -> None:
    rhythm = Rhythm()
    before = read_waits()
    while before is not None:
        time.sleep(WINDOW_SECONDS)
        after = read_waits()
        if after is None:
            return
        is_pulled = rhythm.decide(*(max(0.0, b - a) for a, b in zip(before, after, strict=True)))
        (brake.pull if is_pulled else brake.release)()
        before = after


def read_waits() -> tuple[float, float] | None:
    """Seconds that the threads of this process have computed, and that they have waited for a
    processor, so far; None where the kernel does not say."""
    computed = waited = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # one that has ended
            first, second, _ = task.read_text().split()
            computed, waited = computed + int(first), waited + int(second)
    return (computed / 1e9, waited / 1e9) if computed else None


def _find_library() -> ctypes.CDLL | None:
    """The libgomp that this process has loaded."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.rpartition(" ")[2]
        if "libgomp" in path:
            return ctypes.CDLL(path)
    return None

"""The supervisor: starts processes, restarts those that die, stops all of them in order."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app import settings
from app.models import disks
from app.stack.plan import Process

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 30.0  # a process that lived this long starts afresh with the shortest pause
_LOOK_SECONDS = 0.2
_FIRST_BYTES = 65_536  # of what a process wrote in its last life
_PR_SET_PDEATHSIG = 1
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)

_logger = logging.getLogger(__name__)


class Supervised:
    """One process and its restarts. Its output goes to a file of its own."""

    def __init__(self, spec: Process, logs: Path) -> None:
        self.spec = spec
        self._log = logs / f"{spec.name}.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._log_start = 0
        self._started_at = 0.0
        self._restart_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Starts the process in a session of its own, so that Ctrl-C reaches the supervisor only.
        It is told to end if the supervisor dies."""
        self._started_at = time.monotonic()
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                self.spec.command,
                env=settings.child_environ(**self.spec.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        _logger.info(
            "started %s",
            self.spec.name,
            extra={"action": "start_process", "name_of": self.spec.name, "pid": self.pid},
        )

    def watch(self, now: float) -> None:
        """Starts the process again, after a pause that grows, when it has ended."""
        if self._child is not None and self._child.poll() is not None:
            self._note_death(now, self._child.returncode)
        if self._child is None and now >= self._restart_at:
            self.start()

    def _note_death(self, now: float, status: int) -> None:
        if now - self._started_at >= _STEADY_SECONDS:
            self._pause = _FIRST_PAUSE_SECONDS
        _logger.warning(
            "%s ended with %d; starting it again in %.1f s",
            self.spec.name,
            status,
            self._pause,
            extra={"action": "process_died", "name_of": self.spec.name, "pid": self.pid},
        )
        self._end_group()
        self._child = None
        if self.spec.mend is not None:
            self.spec.mend(self._read_first())
        self._restart_at = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def _read_first(self) -> str:
        """The beginning of what the process wrote in its last life; nothing if the log is gone."""
        try:
            with self._log.open("rb") as log:
                log.seek(self._log_start)
                return log.read(_FIRST_BYTES).decode(errors="replace")
        except OSError:
            return ""

    def ask_to_stop(self) -> None:
        """SIGTERM to the process (it tells its own children)."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def stop(self, deadline: float) -> bool:
        """Waits for the end; kills the whole session at `deadline`, a time of the monotonic clock.
        True if it ended in order."""
        if self._child is None:
            return True
        try:
            self._child.wait(max(0.0, deadline - time.monotonic()))
            is_clean = True
        except subprocess.TimeoutExpired:
            _logger.warning("killing %s", self.spec.name, extra={"action": "kill_process"})
            is_clean = False
        self._end_group()
        self._child.wait()
        return is_clean

    def _end_group(self) -> None:
        """Whatever is left of the process's session."""
        assert self._child is not None
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def _die_with_parent() -> None:
    """Linux sends SIGTERM when the supervisor dies, even by SIGKILL. Elsewhere nothing does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Runs a list of processes until it is told to stop."""

    def __init__(self, specs: Sequence[Process], data_dir: Path) -> None:
        self._logs = data_dir / "logs"
        with disks.writable(self._logs):
            self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.processes = [Supervised(spec, self._logs) for spec in specs]
        self._is_stopping = False

    def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Starts all and watches them; `tick` is called at every look. Returns after SIGINT, SIGTERM,
        SIGQUIT or the end of its terminal (SIGHUP, unless nohup ignores it), when everything has
        stopped."""
        for number in _STOPPING:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        try:
            self._start_all()
            while not self._is_stopping:
                now = time.monotonic()
                for process in self.processes:
                    process.watch(now)
                tick()
                time.sleep(_LOOK_SECONDS)
        finally:
            self._stop_all()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._is_stopping = True

    def _start_all(self) -> None:
        for process in self.processes:
            if not self._is_stopping:
                process.start()

    def _stop_all(self) -> None:
        """The API and the workers give up their work side by side; Redis, the first, goes last."""
        first, rest = self.processes[:1], self.processes[1:]
        if first and first[0].spec.name != "redis":
            first, rest = [], self.processes
        _stop_together(rest)
        _stop_together(first)


def _stop_together(processes: Sequence[Supervised]) -> None:
    """All have the longest grace of any, counted from one moment, so that graces do not add up."""
    for process in reversed(processes):
        process.ask_to_stop()
    graces = (process.spec.grace_seconds for process in processes)
    deadline = time.monotonic() + max(graces, default=0.0)
    for process in reversed(processes):
        process.stop(deadline)

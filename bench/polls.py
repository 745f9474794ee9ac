"""A client in a process of its own that polls and takes the time of every answer."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx

from app import settings

_PAUSE_SECONDS = 0.05


class Poller:
    """`follow` changes what is polled; `summary` is there once the poller has ended."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.summary: dict[str, Any] = {}

    def follow(self, path: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        output, _ = self._process.communicate(timeout=30)
        self.summary = json.loads(output)


@contextlib.contextmanager
def polling(url: str) -> Iterator[Poller]:
    """Polls the list of batches until told what else."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.polls", url],
        env=settings.child_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    poller = Poller(process)
    poller.follow("/v1/batches")
    try:
        yield poller
    finally:
        poller.stop()


def main() -> None:
    paths, took = ["/v1/batches"], []
    ended = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            paths[0] = line.strip()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    with httpx.Client(base_url=sys.argv[1], timeout=60) as client:
        print("ready", flush=True)
        while not ended.wait(_PAUSE_SECONDS):
            started = time.perf_counter()
            client.get(paths[0]).raise_for_status()
            took.append(1000 * (time.perf_counter() - started))
    took.sort()
    shown = {f"p{share}_ms": round(took[len(took) * share // 100], 1) for share in (50, 99)}
    print(json.dumps({"polls": len(took)} | shown | {"worst_ms": round(took[-1], 1)}))


if __name__ == "__main__":
    main()

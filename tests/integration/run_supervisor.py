"""Supervises shell commands: DATA_DIR GRACE_SECONDS NAME=COMMAND..."""

import sys
from pathlib import Path

from app import log
from app.stack.plan import Process
from app.stack.supervisor import Supervisor


def main() -> None:
    log.configure("INFO")
    pairs = [text.partition("=") for text in sys.argv[3:]]
    grace = float(sys.argv[2])
    specs = [
        Process(name, ("/bin/sh", "-c", command), grace_seconds=grace) for name, _, command in pairs
    ]
    Supervisor(specs, Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()

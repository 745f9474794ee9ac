"""Supervises the shell commands given as NAME=COMMAND below a data directory."""

import sys
from pathlib import Path

from app import log
from app.stack.plan import Process
from app.stack.supervisor import Supervisor


def main() -> None:
    log.configure("INFO")
    pairs = [text.partition("=") for text in sys.argv[2:]]
    specs = [
        Process(name, ("/bin/sh", "-c", command), grace_seconds=1.0) for name, _, command in pairs
    ]
    Supervisor(specs, Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()

"""`autoglm`, but its worker obeys pool_shrink, so that a test can take its child away."""

from app import queue
from app.cli import main

queue.REMOTE_COMMANDS |= {"pool_shrink"}

if __name__ == "__main__":
    main()

"""`autoglm`, but its worker takes every message for one of ours, as Celery does by itself."""

from app.cli import main
from app.workers import messages

messages.harden = lambda app: None

if __name__ == "__main__":
    main()

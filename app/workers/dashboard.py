"""The Celery app that Flower watches through: the same broker, the same key prefix."""

from app import queue, settings

app = queue.make_app(settings.load().redis.url or "")

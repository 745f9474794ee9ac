"""Redis, the database, the weights, the ports, and the workers that the database knows."""

from collections.abc import Iterator
from pathlib import Path

import redis

from app import queue, settings, weights
from app.errors import AutoglmError
from app.models import database, migrate
from app.models import workers as worker_store
from app.stack import broker, ports
from app.stack.checkup import gpus
from app.stack.checkup.rows import FAILED, OK, WARNING, Row
from app.wire.rows import Worker
from app.workers import slot

_TIMEOUT_SECONDS = 3.0


def check(options: settings.Settings) -> Iterator[Row]:
    """The weights come last: every byte of them is hashed."""
    yield _check_redis(options)
    yield from _check_database(options)
    yield _check_port(options)
    yield from (_check_weights(model) for model in options.models)


def _check_redis(options: settings.Settings) -> Row:
    if options.redis.url is None:
        program = broker.find_program()
        if program is None:
            return Row("redis", FAILED, "redis_missing")
        return Row("redis", OK, "redis_embedded", {"program": program})
    try:
        queue.check_url(options.redis.url)
        client = redis.Redis.from_url(
            queue.plain_url(options.redis.url),
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
        )
        with client:
            version = client.info("server").get("redis_version", "-")
    except AutoglmError as error:
        return Row("redis", FAILED, "fault", {"reason": error})
    except (redis.RedisError, OSError) as error:
        return Row("redis", FAILED, "redis_unreachable", {"reason": str(error)})
    return Row("redis", OK, "redis", {"version": version})


def _check_database(options: settings.Settings) -> Iterator[Row]:
    """A database file that is not there yet is made by `autoglm up`."""
    if options.database.url is None and not (options.data_dir / "autoglm.db").exists():
        yield Row("database", OK, "database_none", {"path": str(options.data_dir)})
        return
    try:
        db = database.find(options)
        try:
            migrate.require_current(db)
            found = worker_store.list_all(db)
        finally:
            db.close()
    except AutoglmError as error:
        yield Row("database", FAILED, "fault", {"reason": error})
        return
    yield Row("database", OK, "database", {"revision": migrate.head_revision()})
    yield from _check_workers(found)


def _check_workers(found: list[Worker]) -> Iterator[Row]:
    """A worker of this machine that holds a GPU is among those that the driver names."""
    seen = gpus.list_processes()
    for worker in found:
        values = {"slot": worker.slot, "pid": worker.pid, "model": worker.model}
        if worker.machine != slot.machine() or not Path(f"/proc/{worker.pid}").exists():
            continue  # elsewhere, or gone
        if "cuda" not in worker.slot:
            yield Row("worker", OK, "worker", values)
        elif worker.pid in seen:
            yield Row("worker", OK, "worker_on_gpu", values)
        else:
            yield Row("worker", WARNING, "worker_off_gpu", values)


def _check_port(options: settings.Settings) -> Row:
    values = {"host": options.server.host, "port": options.server.port}
    is_free = ports.is_free(options.server.host, options.server.port)
    return Row("port", OK if is_free else WARNING, "port" if is_free else "port_taken", values)


def _check_weights(model: settings.Model) -> Row:
    if model.path is None:
        return Row("weights", OK, "weights_none", {"model": model.name})
    try:
        found = weights.verify(
            model.path, manifest=model.verify.manifest, public_keys=model.verify.public_keys
        )
    except AutoglmError as error:
        return Row("weights", FAILED, "weights_fault", {"model": model.name, "reason": error})
    values = {"model": model.name, "digest": found.digest[:12], "files": len(found.files)}
    is_signed = found.key_id is not None
    return Row(
        "weights",
        OK if is_signed else WARNING,
        "weights" if is_signed else "weights_unsigned",
        values,
    )

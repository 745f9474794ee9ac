"""`autoglm worker`: one device, one model, one process tree."""

import click

from app import log, settings
from app.errors import SettingsError
from app.models import database, migrate
from app.workers import slot
from app.workers.watch import Watch


@click.command("worker", help="worker.help")
@click.option("--config", type=click.Path(), help="cli.help_config_file")
@click.option("--device", required=True, help="worker.help_device")
@click.option("--model", help="worker.help_model")
def command(config: str | None, device: str, model: str | None) -> None:
    """Serves one model on one device until it is stopped."""
    options = settings.load(config)
    if options.redis.url is None:
        raise SettingsError("redis_url_missing", param="redis.url")
    log.configure(options.log_level)
    for name, value in settings.environment(options).items():
        settings.set_variable(name, value)
    place = slot.make(options, device, model)
    db = database.connect(options)
    migrate.require_current(db)
    held = slot.lock(place, options.data_dir / "run" / "slots")
    slot.refuse_rival(db, place, options.worker.pulse_seconds)
    slot.announce(place)
    Watch(db, place, options.worker.step_timeout_seconds).start()
    run(place)
    held.close()


def run(place: slot.Slot) -> None:
    """Celery's own worker program, in this process."""
    from app import queue
    from app.workers import main

    queues = f"{queue.model_queue(place.model)},{queue.slot_queue(place.name)}"
    flags = ["--without-gossip", "--without-mingle", "--loglevel", main.options.log_level]
    main.app.worker_main(
        ["worker", "-P", "prefork", "-c", "1", "-Q", queues, "-n", place.node, *flags]
    )

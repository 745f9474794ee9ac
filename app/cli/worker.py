"""`autoglm worker`: one device, one model, one process tree."""

import click

from app import log, settings
from app.errors import SettingsError
from app.inference import devices
from app.models import database, migrate
from app.workers import slot
from app.workers.watch import Watch


@click.command("worker", help="worker.help")
@click.option("--config", type=click.Path(), help="cli.help_config_file")
@click.option("--device", required=True, help="worker.help_device")
@click.option("--model", help="worker.help_model")
@click.pass_context
def command(ctx: click.Context, config: str | None, device: str, model: str | None) -> None:
    """Serves one model on one device until it is stopped."""
    options = settings.load(config)
    if options.redis.url is None:
        raise SettingsError("redis_url_missing", param="redis.url")
    log.configure(options.log_level)
    for name, value in settings.environment(options).items():
        settings.set_variable(name, value)
    place = slot.make(options, device, model)
    _require_device(options, place)
    db = database.connect(options)
    migrate.require_current(db)
    held = slot.lock(place, options.data_dir / "run" / "slots")
    slot.refuse_rival(db, place, options.worker.pulse_seconds)
    slot.announce(place)
    watch = Watch(db, place, options.worker, slot.remains(place, options.data_dir))
    watch.start()
    from app.workers import main  # reads the settings and the slot as they are now

    status = main.serve(place, watch.note_stop)
    held.close()
    ctx.exit(status)


def _require_device(options: settings.Settings, place: slot.Slot) -> None:
    """Ends a worker that could never load its model; the fake engine runs anywhere."""
    backends = {model.name: model.backend for model in options.models}
    if backends[place.model] != "fake":
        devices.require_gpus([place.device], visible=settings.variable("CUDA_VISIBLE_DEVICES"))
        devices.require_build([place.device])

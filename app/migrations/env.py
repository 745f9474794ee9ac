"""Alembic's entry: runs the migrations on the URL it is given, in one transaction."""

import sqlalchemy as sa
from alembic import context

_LOCK = 7_046_219_158  # any number, the same in every version of the program


def _run() -> None:
    engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        else:  # one at a time, until this connection ends; the next finds nothing left to do
            connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK)))
        connection.commit()
        context.configure(
            connection=connection,
            transaction_per_migration=True,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


_run()

"""What can be configured: one frozen dataclass per section of config.yaml."""

from dataclasses import dataclass, field
from pathlib import Path

LOCALES = ("zh-CN", "en-US", "ja-JP")


@dataclass(frozen=True)
class Server:
    """The HTTP listener. `threads` bounds concurrent requests, long polls included."""

    host: str = "127.0.0.1"
    port: int = 8080
    processes: int = 1
    threads: int = 512


@dataclass(frozen=True)
class Locale:
    """Message languages: `default` without Accept-Language, `fallback` for anything unknown."""

    default: str = "zh-CN"
    fallback: str = "en-US"
    supported: tuple[str, ...] = LOCALES


@dataclass(frozen=True)
class Database:
    """SQLAlchemy URL and pool; None means SQLite in the data directory."""

    url: str | None = None
    pool_size: int = 20
    max_overflow: int = 60
    pool_recycle_seconds: int = 1800


@dataclass(frozen=True)
class Redis:
    """Broker URL; None means an embedded server started by `autoglm up`."""

    url: str | None = None


@dataclass(frozen=True)
class Verify:
    """Where a model's manifest is, and the Ed25519 public keys (base64, or files) it is trusted by."""

    manifest: str = "MANIFEST.json"
    public_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fake:
    """How the fake back end behaves: for load and fault tests only."""

    step_seconds: float = 0.0
    tokens_per_job: int = 8
    load_seconds: float = 0.0
    load_failures: int = 0


@dataclass(frozen=True)
class Model:
    """One served model: the name a client sends, and the checkpoint behind it."""

    name: str
    path: str | None = None
    backend: str = "autoglm"  # autoglm | fake
    dtype: str = "auto"  # auto | float16 | bfloat16 | float32
    memory_fraction: float = 0.8
    max_context: int | None = None
    max_sequences: int = 32
    cache_tokens: int | None = None
    aliases: tuple[str, ...] = ()
    verify: Verify = field(default_factory=Verify)
    fake: Fake = field(default_factory=Fake)


@dataclass(frozen=True)
class Worker:
    """Workers and their supervision; durations in seconds."""

    host: str = ""  # empty: this machine's host name
    shift_seconds: float = 60.0
    pulse_seconds: float = 1.0
    lease_seconds: float = 15.0
    sweep_seconds: float = 2.0
    step_timeout_seconds: float = 300.0
    load_backoff_seconds: float = 5.0
    max_attempts: int = 3


@dataclass(frozen=True)
class Queue:
    """Back pressure: how many jobs may wait before POST answers 429."""

    max_queued_jobs: int = 200_000


@dataclass(frozen=True)
class Limits:
    """Caps on what a client may send."""

    max_body_bytes: int = 16 * 1024 * 1024
    max_file_bytes: int = 200 * 1024 * 1024
    max_batch_lines: int = 50_000
    max_line_bytes: int = 4 * 1024 * 1024
    max_tokens: int = 4096
    max_wait_seconds: int = 60


@dataclass(frozen=True)
class Retention:
    """How long finished things are kept."""

    days: int = 30


@dataclass(frozen=True)
class Settings:
    """The whole configuration, checked. `source` is the file it came from, if any."""

    server: Server = field(default_factory=Server)
    log_level: str = "INFO"
    locale: Locale = field(default_factory=Locale)
    database: Database = field(default_factory=Database)
    redis: Redis = field(default_factory=Redis)
    models: tuple[Model, ...] = ()
    worker: Worker = field(default_factory=Worker)
    devices: tuple[str, ...] = ("auto",)
    queue: Queue = field(default_factory=Queue)
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    data_dir: Path = Path("var/data")
    source: Path | None = None

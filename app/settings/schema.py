"""What can be configured: one frozen, checked dataclass per section of config.yaml."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from app.errors import SettingsError
from app.settings.kinds import check, show
from app.settings.rules import Between, Like, NotEmpty, OneOf, PossiblePort, Secret

LOCALES = ("zh-CN", "en-US", "ja-JP")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

Text = Annotated[str, Like(r"\S(.*\S)?", '!= ""')]
Host = Annotated[str, Like(r"[^\s/]+", "127.0.0.1 | 0.0.0.0 | ::1 | name")]
Port = Annotated[int, Between(1, 65535)]
Count = Annotated[int, Between(1)]
Seconds = Annotated[float, Between(0, above=True)]
LocaleName = Annotated[str, OneOf(LOCALES)]
LogLevel = Annotated[str, OneOf(LOG_LEVELS)]
Device = Annotated[str, Like(r"auto|cpu|(cpu|cuda):(0|[1-9]\d*)", "auto | cpu | cpu:N | cuda:N")]
ModelName = Annotated[str, Like(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "A-Z a-z 0-9 . _ : / -")]
Backend = Annotated[str, OneOf(("autoglm", "fake"), later=("vllm", "openai"))]
Words = Annotated[
    str,
    Like(
        r"(?s)(?=.*\S)(?:[^$]|\$\$|\$(?:definitions|language|intent|target|name|parameters|returns)(?!\w))*",
        "text, $definitions $language $intent $target $name $parameters $returns, $$",
    ),
]
CodeGuide = Annotated[str, OneOf(("none", "block", "function"))]
Draws = Annotated[int, Between(1, 128)]  # as many choices as a client may ask for
CodePrompt = Annotated[str, OneOf(("guided", "plain"))]
Dtype = Annotated[str, OneOf(("auto", "float16", "bfloat16", "float32"))]
DatabaseUrl = Annotated[
    str,
    Secret(),
    Like(r"(sqlite|postgresql)(\+\w+)?://.*", "sqlite:///FILE | postgresql+DRIVER://HOST/NAME"),
]
RedisUrl = Annotated[
    str,
    Secret(),
    Like(r"(rediss?|unix|redis\+socket)://\S+", "redis://HOST:PORT/N | rediss://..."),
    PossiblePort(),
]
SECRET_PATTERN = r"whsec_[A-Za-z0-9+/]{32,}={0,2}"
SECRET_LOOKS = "whsec_ and at least 24 bytes in base64"
_A_FILE = "a file that is there"
SigningSecret = Annotated[str, Secret(), Like(SECRET_PATTERN, SECRET_LOOKS)]
HostEntry = Annotated[str, Like(r"(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?", "host | host:port | *.domain")]
HttpUrl = Annotated[str, Like(r"https?://[^\s@#]+", "https://HOST/PATH")]


class _Checked:
    """A section that checks its fields when it is made."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Server(_Checked):
    """The HTTP listener. `threads` bounds concurrent requests, long polls included."""

    host: Host = "127.0.0.1"
    port: Port = 8080
    processes: Count = 1
    threads: Count = 512


@dataclass(frozen=True)
class Locale(_Checked):
    """Message languages: `default` without Accept-Language, `fallback` for anything unknown."""

    default: LocaleName = "zh-CN"
    fallback: LocaleName = "en-US"
    supported: Annotated[tuple[LocaleName, ...], NotEmpty()] = LOCALES

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("default", "fallback"):
            _require(self, name, getattr(self, name) in self.supported, " | ".join(self.supported))


@dataclass(frozen=True)
class Database(_Checked):
    """SQLAlchemy URL and pool; None means SQLite in the data directory."""

    url: DatabaseUrl | None = field(default=None, repr=False)
    pool_size: Count = 20
    max_overflow: Annotated[int, Between(0)] = 60
    pool_recycle_seconds: Count = 1800
    statement_timeout_seconds: Seconds = 30.0


@dataclass(frozen=True)
class Redis(_Checked):
    """Broker URL; None means an embedded server started by `autoglm up`."""

    url: RedisUrl | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Verify(_Checked):
    """Where a model's manifest is, and the Ed25519 public keys (base64, or files) it is trusted by."""

    manifest: Text = "MANIFEST.json"
    public_keys: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Fake(_Checked):
    """How the fake back end behaves: for load and fault tests only."""

    step_seconds: Annotated[float, Between(0)] = 0.0
    tokens_per_job: Count = 8
    load_seconds: Annotated[float, Between(0)] = 0.0
    load_failures: Annotated[int, Between(0)] = 0


@dataclass(frozen=True)
class CodeTemplate(_Checked):
    """The operator's own system message of code jobs: for instructions in English, Chinese,
    Japanese, or for all that have none of their own."""

    all: Words | None = None
    en: Words | None = None
    zh: Words | None = None
    ja: Words | None = None


@dataclass(frozen=True)
class Model(_Checked):
    """One served model: the name a client sends, and the checkpoint behind it."""

    name: ModelName
    path: Text | None = None
    backend: Backend = "autoglm"
    dtype: Dtype = "auto"
    memory_fraction: Annotated[float, Between(0, 1, above=True)] = 0.8
    max_context: Count | None = None
    max_sequences: Count = 64
    cache_tokens: Count | None = None
    cuda_graphs: bool = True
    overlap_steps: bool = True
    code_prompt: CodePrompt = "guided"
    code_template: CodeTemplate = field(default_factory=CodeTemplate)
    code_guide: CodeGuide = "none"
    code_draws: Draws = 1
    aliases: tuple[ModelName, ...] = ()
    verify: Verify = field(default_factory=Verify)
    fake: Fake = field(default_factory=Fake)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.backend == "autoglm" and self.path is None:
            raise SettingsError("setting_missing", param="path", key="path", where=self.name)


@dataclass(frozen=True)
class Memory(_Checked):
    """Memory of sessions: how many known definitions a code prompt may hold, how much is kept of
    symbols and turns, and how long."""

    context_tokens: Annotated[int, Between(0)] = 1024
    max_symbols: Count = 500
    max_turns: Count = 1000
    days: Count = 30


@dataclass(frozen=True)
class Worker(_Checked):
    """Workers and their supervision; durations in seconds."""

    host: str = ""  # empty: this machine's host name
    shift_seconds: Seconds = 60.0
    pulse_seconds: Seconds = 1.0
    lease_seconds: Seconds = 15.0
    sweep_seconds: Seconds = 2.0
    step_timeout_seconds: Seconds = 300.0
    load_backoff_seconds: Annotated[float, Between(0)] = 5.0
    max_attempts: Count = 3
    max_reasks: Annotated[int, Between(0, 10)] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        low = 2 * self.pulse_seconds
        _require(self, "lease_seconds", self.lease_seconds >= low, f">= {low:g}")


@dataclass(frozen=True)
class Queue(_Checked):
    """Back pressure: how many jobs and calls, and how many lines of batches, may wait before POST
    answers 429."""

    max_queued_jobs: Count = 200_000
    max_waiting_lines: Count = 2_000_000


@dataclass(frozen=True)
class Limits(_Checked):
    """Caps on what a client may send."""

    max_body_bytes: Count = 16 * 1024 * 1024
    max_file_bytes: Count = 200 * 1024 * 1024
    max_batch_lines: Count = 50_000
    max_line_bytes: Count = 4 * 1024 * 1024
    max_tokens: Count = 4096
    max_wait_seconds: Annotated[int, Between(0, 3600)] = 60
    interactive_seconds: Seconds = 600.0


@dataclass(frozen=True)
class Batches(_Checked):
    """How the lines of a batch are run: those that begin alike together, identical ones once."""

    group_prefixes: bool = True
    reuse_answers: bool = True


@dataclass(frozen=True)
class Retention(_Checked):
    """How long finished things are kept."""

    days: Count = 30


@dataclass(frozen=True)
class Manifests(_Checked):
    """Manifests of batches; unsigned without an Ed25519 key (PEM, as `autoglm weights keygen` makes)."""

    private_key_file: Text | None = None


@dataclass(frozen=True)
class Webhooks(_Checked):
    """Telling others that batches and jobs have ended; off without a secret. docs/webhooks.md."""

    secret: SigningSecret | None = field(default=None, repr=False)
    secret_file: Text | None = None
    allow: tuple[HostEntry, ...] = ()
    endpoints: tuple[HttpUrl, ...] = ()
    loopback: tuple[HostEntry, ...] = ()
    ca_file: Text | None = None
    max_attempts: Count = 8
    first_pause_seconds: Seconds = 5.0
    timeout_seconds: Seconds = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.secret_file is not None:
            _require(self, "secret_file", self.secret is None, "null beside webhooks.secret")
            _require(self, "secret_file", Path(self.secret_file).is_file(), _A_FILE)
            _require(self, "secret_file", _is_secret(self.signing_secret), SECRET_LOOKS)
        if self.ca_file is not None:
            _require(self, "ca_file", Path(self.ca_file).is_file(), _A_FILE)

    @property
    def signing_secret(self) -> str | None:
        """The secret in force, read anew from its file, so that it can be changed there."""
        if self.secret_file is None:
            return self.secret
        try:
            return Path(self.secret_file).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None


def _is_secret(text: str | None) -> bool:
    return text is not None and re.fullmatch(SECRET_PATTERN, text) is not None


@dataclass(frozen=True)
class Settings(_Checked):
    """The whole configuration, checked. `source` is the file it came from, if any."""

    server: Server = field(default_factory=Server)
    log_level: LogLevel = "INFO"
    locale: Locale = field(default_factory=Locale)
    database: Database = field(default_factory=Database)
    redis: Redis = field(default_factory=Redis)
    models: tuple[Model, ...] = ()
    worker: Worker = field(default_factory=Worker)
    memory: Memory = field(default_factory=Memory)
    devices: Annotated[tuple[Device, ...], NotEmpty()] = ("auto",)
    queue: Queue = field(default_factory=Queue)
    limits: Limits = field(default_factory=Limits)
    batches: Batches = field(default_factory=Batches)
    retention: Retention = field(default_factory=Retention)
    webhooks: Webhooks = field(default_factory=Webhooks)
    manifests: Manifests = field(default_factory=Manifests)
    data_dir: Path = Path("var/data")
    source: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, "devices", len(self.devices) == 1 or "auto" not in self.devices, "auto")
        names = [name for model in self.models for name in (model.name, *model.aliases)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SettingsError("setting_model_twice", param="models", key="models", name=twice)


def _require(section: object, name: str, is_right: bool, allowed: str) -> None:
    """Raises the error for a field that does not fit the other fields of its section."""
    if not is_right:
        values = {"key": name, "value": show(getattr(section, name)), "allowed": allowed}
        raise SettingsError("setting_bad_value", param=name, where=type(section).__name__, **values)

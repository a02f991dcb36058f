"""The tree of settings and the one reader of the environment.

Names are an interface: `CALOTYPE_BROWSER__PAGES` is `browser.pages` here, in a TOML file given with `--config`, in
`docs/settings.md` (generated) and in `calotype doctor`. Parts get their sub-model, never the root.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

PLAN_NAME = r"^[a-z0-9][a-z0-9_-]{0,31}$"
_TOKEN = re.compile(r"(?!calo_)[\x21-\x7e]{32,}")
_CORES = os.cpu_count() or 1


def _hard_to_guess(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not _TOKEN.fullmatch(value.get_secret_value()):
        raise ValueError("must be at least 32 visible ASCII characters, and no API key")
    return value


Token = Annotated[SecretStr | None, AfterValidator(_hard_to_guess)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8600, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls_cert: Path | None = Field(default=None, description="PEM file with the certificate chain: serves HTTPS only.")
    tls_key: Path | None = Field(default=None, description="PEM file with the private key of `tls_cert`.")
    hsts_max_age_s: int = Field(
        default=15_552_000,
        ge=0,
        description="Seconds for which browsers are told to come back by HTTPS only, in answers over HTTPS; 0: never.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
    )
    max_body_bytes: int = Field(default=8 * 2**20, ge=1024, description="Largest request body accepted, in bytes.")
    shutdown_grace_s: float = Field(
        default=20.0, ge=0, description="Seconds that running captures get to finish on SIGTERM."
    )
    metrics_token: Token = Field(
        default=None,
        description="Opens `/metrics`, of workers, too: at least 32 visible ASCII characters, and no API key. Unset: "
        "everybody may read it.",
    )
    trace_callers: tuple[str, ...] = Field(
        default=(),
        description="Networks (`10.0.0.0/8`) of callers whose `traceparent` header is continued; requests of others "
        "begin traces of their own.",
    )

    @field_validator("trusted_proxies", "trace_callers")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(network)) for network in networks)

    @model_validator(mode="after")
    def _certificate_and_key_come_together(self) -> ServerSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key must both be given")
        return self


class DatabaseSettings(_Section):
    url: str = Field(default="", description="SQLAlchemy-style URL; empty means `sqlite:///<data_dir>/calotype.db`.")


class BrowserSettings(_Section):
    executable: Path | None = Field(default=None, description="Chromium binary; found on the system when unset.")
    processes: int = Field(default=1, ge=1, le=64, description="Chromium processes.")
    pages: int = Field(default=2 * _CORES, ge=1, le=256, description="Captures at once, over all processes.")
    queue: int = Field(default=64, ge=0, description="Captures that may wait for a page before `503 overloaded`.")
    queue_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds a capture may wait for a page before `503 overloaded`."
    )
    recycle_captures: int = Field(default=500, ge=1, description="Captures after which a Chromium process is replaced.")
    recycle_memory_bytes: int = Field(
        default=2 * 2**30, ge=2**28, description="Memory (PSS) of one Chromium process tree after which it is replaced."
    )
    page_memory_bytes: int = Field(
        default=2**30, ge=2**27, description="Memory one page's process may hold before it is killed: `page_crashed`."
    )
    page_cpu_s: float = Field(
        default=2.0, ge=0, description="Processor time of one page after which others go first (lowest nice level)."
    )
    start_timeout_s: float = Field(default=30.0, gt=0, description="Seconds a Chromium process may take to start.")
    sandbox: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Chromium's own sandbox; `auto` turns it off, with a warning, where the system can't do it.",
    )
    max_pixels: int = Field(default=200_000_000, ge=1, description="Largest picture in device pixels.")


class TargetRules(_Section):
    """Where captures may go beyond the public internet, and where not in it; `guard.rules` says what an entry is."""

    allow: tuple[str, ...] = Field(
        default=(), description="Networks, hosts or `host:port` that may be visited although not public."
    )
    deny: tuple[str, ...] = Field(
        default=(), description="Networks, hosts or `host:port` that are never visited, whatever is allowed."
    )


class GuardSettings(TargetRules):
    ports: tuple[int | str, ...] = Field(
        default=(),
        description="Ports (`443`) and ranges (`8000-8999`) that may be visited; empty means all that browsers open. "
        "What `allow` covers may have any port.",
    )
    nat64_prefixes: tuple[str, ...] = Field(
        default=(),
        description="NAT64 prefixes of your network beside `64:ff9b::/96`: the IPv4 address inside is judged as well.",
    )
    nameservers: tuple[str, ...] = Field(
        default=(), description="DNS servers (`ip` or `ip:port`) asked instead of the system's."
    )
    jail: Literal["auto", "off"] = Field(
        default="auto",
        description="The browser's network jail: `auto` takes the strictest that passes its self-test; `off` is for "
        "finding faults.",
    )
    require: Literal["none", "datagrams", "full"] = Field(
        default="none",
        description="Least level of the jail to start with. `full`: the kernel lets nothing out but TCP to the guard; "
        "`datagrams`: nothing but TCP.",
    )
    connect_timeout_s: float = Field(default=10.0, gt=0, description="Seconds to connect to a target.")
    max_connections: int = Field(default=256, ge=1, description="Connections of one capture at once.")
    max_bytes: int = Field(default=256 * 2**20, ge=2**16, description="Bytes one capture may receive.")
    max_time_s: float = Field(
        default=180.0, gt=0, description="Seconds after its first connection in which one capture may use the network."
    )


class KeySettings(_Section):
    pepper: SecretStr | None = Field(
        default=None,
        description="Secret that keys are hashed with, the same on all machines of a database. "
        "Unset: made once, in `<data_dir>/pepper`.",
    )


class AdminSettings(_Section):
    token: Token = Field(
        default=None,
        description="Opens the operator's HTTP API, `/admin/v1`: at least 32 visible ASCII characters, and no API key. "
        "Unset: there is no such API.",
    )


class StorageSettings(_Section):
    url: str = Field(default="", description="Where pictures are kept; empty means `file://<data_dir>/images`.")


class CreditSettings(_Section):
    reset: Literal["calendar", "anniversary"] = Field(
        default="calendar",
        description="When a month's credits are renewed, in UTC: on the first, or on the day that the key was made.",
    )
    lease_s: float = Field(
        default=30.0, ge=1, description="Seconds after which the credit of a capture whose server died is given back."
    )


class JobSettings(_Section):
    concurrency: int | None = Field(
        default=None, ge=1, le=256, description="Jobs that one process runs at once; unset: `browser.pages`."
    )
    retention_s: float = Field(default=86_400, ge=1, description="Seconds after its end that a job is kept.")
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Tries of a job before it fails; what can't succeed later gets one.",
    )
    retry_pause_s: float = Field(default=2.0, ge=0, description="Seconds before the second try; doubles with each one.")
    aging_s: float = Field(
        default=0,
        ge=0,
        le=3_600,
        description="Seconds of waiting that raise a job by one priority, so that no job waits for ever; 0: never.",
    )
    lease_s: float = Field(
        default=10.0, ge=1, description="Seconds without a word from its worker after which a job is given to another."
    )
    presigned_s: float = Field(
        default=0,
        ge=0,
        le=604_800,
        description="Seconds that a job's `image_url` of the bucket itself holds; 0: this server's URL.",
    )
    require_key: bool = Field(
        default=False, description="Whether only its owner's key shows a job; otherwise whoever knows its id sees it."
    )


class WorkerSettings(_Section):
    metrics_host: str = Field(default="127.0.0.1", description="Address of `metrics_port`.")
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port at which `calotype worker` serves `/healthz`, `/readyz` and `/metrics`, and nothing else; 0 "
        "takes a free one. Unset: it serves nothing.",
    )


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level logged.")
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto`: console on a terminal, else JSON lines."
    )


class Plan(_Section):
    """What a key may use (contract, section 5)."""

    name: str = Field(pattern=PLAN_NAME)
    requests_per_second: float | None = Field(default=None, gt=0, description="None: unlimited.")
    burst: int | None = Field(default=None, ge=1, description="None: the rate, at least 1.")
    monthly_credits: int | None = Field(default=None, ge=0, description="None: unlimited.")
    max_priority: int = Field(default=2**31 - 1, ge=-(2**31), le=2**31 - 1)
    max_concurrency: int | None = Field(default=None, ge=1, description="None: unlimited.")


BUILT_IN_PLANS = (
    Plan(name="free", requests_per_second=1, burst=1, monthly_credits=100),
    Plan(name="unlimited"),
)


class Settings(BaseSettings):
    """The root. `Settings()` reads the environment; `load_settings(path)` a TOML file below it."""

    model_config = SettingsConfigDict(env_prefix="CALOTYPE_", env_nested_delimiter="__", frozen=True, extra="forbid")

    data_dir: Path = Field(
        default=Path("~/.local/share/calotype"),
        validate_default=True,
        description="Where the database, images and the pepper live.",
    )
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    browser: BrowserSettings = BrowserSettings()
    guard: GuardSettings = GuardSettings()
    keys: KeySettings = KeySettings()
    admin: AdminSettings = AdminSettings()
    storage: StorageSettings = StorageSettings()
    credits: CreditSettings = CreditSettings()
    jobs: JobSettings = JobSettings()
    worker: WorkerSettings = WorkerSettings()
    log: LogSettings = LogSettings()
    plans: tuple[Plan, ...] = Field(default=(), description="Plans beside the built-in `free` and `unlimited`.")

    @field_validator("data_dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("plans")
    @classmethod
    def _plan_names_are_unique(cls, value: tuple[Plan, ...]) -> tuple[Plan, ...]:
        names = [plan.name for plan in (*BUILT_IN_PLANS, *value)]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"plan names must be unique and not built in: {', '.join(doubled)}")
        return value

    def plan(self, name: str) -> Plan | None:
        return next((plan for plan in (*BUILT_IN_PLANS, *self.plans) if plan.name == name), None)

    @property
    def database_url(self) -> str:
        return self.database.url or f"sqlite:///{self.data_dir / 'calotype.db'}"

    @property
    def storage_url(self) -> str:
        return self.storage.url or f"file://{self.data_dir / 'images'}"


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read settings: `overrides` (CLI flags) win over the environment, which wins over the TOML file `config`.

    Raises:
        pydantic.ValidationError: a value is wrong; `cli.py` prints the variable's name and the fix.
    """

    class FileSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = (TomlConfigSettingsSource(settings_cls, toml_file=config),) if config else ()
            return (init_settings, env_settings, *file)

    return FileSettings(**overrides)

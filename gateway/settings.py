"""One frozen Settings, read once from the environment; every problem reported at once, secrets never shown.

docs/settings.md lists every field from its description here; a test holds the two together.
"""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict


class BadSettings(Exception):
    """The environment cannot be used. The message has one line for each problem and no secret."""


def _keys(text: object) -> object:
    """`kid:base64url` pairs joined by commas → {kid: 32 bytes}, in order."""
    if not isinstance(text, str):
        return text
    keys: dict[str, bytes] = {}
    for pair in text.split(","):
        kid, colon, encoded = pair.strip().partition(":")
        try:
            key = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            key = b""
        if not (colon and kid and len(key) == 32):
            raise ValueError("must be `kid:key` pairs joined by commas, each key 32 bytes in base64url")
        keys[kid] = key
    return keys


def _origin(text: object) -> object:
    if not isinstance(text, str):
        return text
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must be an origin such as https://my-jarvis.app, without a path")
    return f"{parts.scheme}://{parts.netloc}"


_THIS_MACHINE: Final = ("127.0.0.1", "::1", "localhost")
_REHEARSALS: Final = ("dev", "test", "chaos")
"""Environments in which a process may be made to fail."""

Keys = Annotated[dict[str, bytes], NoDecode, BeforeValidator(_keys)]
Origin = Annotated[str, BeforeValidator(_origin)]


class Settings(BaseSettings):
    """What an operator may set. Names in the environment are the field names in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    public_url: Origin = Field(description="The one origin that everybody uses, e.g. https://my-jarvis.app.")
    account_host: str = Field(
        default="",
        pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*)?$",
        description="Host name of the account pages, on the same listener and port. Empty: `account.` before the public"
        " host (`account.localhost` on this machine). It must never serve anything else.",
    )
    supabase_url: Origin = Field(description="The Supabase project, https://<ref>.supabase.co.")
    supabase_publishable_key: SecretStr = Field(description="The project's `sb_publishable_…` key.")
    supabase_secret_key: SecretStr | None = Field(
        default=None,
        description="The project's `sb_secret_…` key: deletes users and forwards client addresses. It stays here.",
    )
    supabase_jwt_secret: SecretStr | None = Field(
        default=None,
        description="Only for projects that still sign with the legacy shared secret (HS256). Prefer signing keys.",
    )
    database_url: SecretStr = Field(description="Supabase's Postgres, direct or session mode (LISTEN is used).")
    database_pool: int = Field(
        default=8, ge=2, le=50, description="Connections of a replica, beside one for LISTEN. Supabase caps them."
    )
    gateway_master_keys: Keys = Field(
        repr=False,
        description="`kid:base64url(32 bytes)`, newest first, joined by commas. Everything we encrypt or sign with is"
        " derived from them. Keep an old one as long as a Machine lives that was made before the newer ones.",
    )
    admin_token: SecretStr = Field(min_length=24, description="Opens the admin listener. At least 24 characters.")

    fly_api_token: SecretStr = Field(
        validation_alias=AliasChoices("MACHINES_API_TOKEN", "FLY_API_TOKEN"),
        description="Token that may manage the Machines' app. MACHINES_API_TOKEN wins over FLY_API_TOKEN.",
    )
    fly_api_url: Origin = Field(
        default="https://api.machines.dev",
        validation_alias=AliasChoices("MACHINES_API_URL", "FLY_API_URL"),
        description="The Machines API; http://_api.internal:4280 saves a hop from within Fly.",
    )
    fly_org_slug: str = Field(
        default="personal",
        validation_alias=AliasChoices("MACHINES_ORG_SLUG", "FLY_ORG_SLUG"),
        description="The organisation that owns the Machines' app.",
    )
    fly_isolation: Literal["app", "machine"] = Field(
        default="app",
        validation_alias=AliasChoices("MACHINES_ISOLATION", "FLY_ISOLATION"),
        description="How a new user is kept apart at Fly. `app`: an app, a private network and a Flycast address of"
        " their own; needs an org-scoped token. `machine`: a Machine in MACHINES_APP_NAME, on one network with all"
        " others: a second less to make, and a warm pool is possible. Who exists stays as they are.",
    )
    fly_gateway_network: str = Field(
        default="",
        validation_alias=AliasChoices("MACHINES_GATEWAY_NETWORK", "FLY_GATEWAY_NETWORK"),
        pattern=r"^([A-Za-z][A-Za-z0-9-]*)?$",
        description="The private network that the gateway itself is in; users' Flycast addresses are made reachable"
        " from there. Empty: the organisation's default network.",
    )
    fly_app_name: str = Field(
        validation_alias=AliasChoices("MACHINES_APP_NAME", "FLY_APP_NAME"),
        description="The app that holds the Machines of all who are not isolated by app. On Fly set"
        " MACHINES_APP_NAME: FLY_APP_NAME is the gateway's own name there.",
    )
    fly_region: str = Field(
        default="fra",
        validation_alias=AliasChoices("MACHINES_REGION", "FLY_REGION"),
        description="Where new Machines are made. Keep it the gateway's region: traffic within it is free and fast.",
    )
    fly_fallback_regions: str = Field(
        default="",
        validation_alias=AliasChoices("MACHINES_FALLBACK_REGIONS", "FLY_FALLBACK_REGIONS"),
        pattern=r"^([a-z]{3}(, ?[a-z]{3})*)?$",
        description="Where new Machines are made when MACHINES_REGION has no room: region codes joined by commas, best"
        " first. Each is slower and traffic to it costs; without any, new users wait in the queue.",
    )
    host_dead_after_s: float = Field(
        default=300,
        ge=60,
        description="Seconds for which a Machine's host may be out of reach before a waiting user's disk is restored"
        " elsewhere from its latest snapshot. Shorter loses up to a day of changes for an outage that would have"
        " passed. The old disk is kept in any case.",
    )
    golden_image: str = Field(description="The image of user Machines, pinned by digest (…@sha256:…).")
    plans_file: Path | None = Field(
        default=None,
        description="A file of your own in place of `provisioner/plans.toml`: sizes, times, limits and prices of the"
        " plans.",
    )
    machine_memory_mb: int | None = Field(
        default=None,
        ge=256,
        le=2048,
        multiple_of=256,
        description="Memory of every Machine whatever the plan, MB. Over 2048 cannot suspend.",
    )
    machine_volume_gb: int | None = Field(
        default=None, ge=1, le=500, description="Disk of a Machine whatever the plan, GB; it only grows."
    )
    gateway_env: str = Field(
        default="production",
        pattern=r"^[a-z0-9]{1,16}$",
        description="Part of every Machine's name and tags. Two environments must never share one.",
    )
    deployment: str = Field(
        default="main",
        pattern=r"^[a-z0-9-]{1,32}$",
        description="Tag of what this installation owns at Fly; nothing without it is ever touched.",
    )

    pool_min: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Spare Machines that wait at any hour. Each costs its disk and little more.",
    )
    pool_max: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Spare Machines at most; between the two their number follows first visits. 0: no pool, a first"
        " visit makes its Machine while its user waits.",
    )
    pool_reserved: int = Field(
        default=0,
        ge=0,
        description="The last so many spare Machines are kept for users with a better plan than the least.",
    )

    suspend_after_s: float | None = Field(
        default=None,
        gt=0,
        description="Quiet seconds before a Machine is suspended, whatever the plan. Longer costs money, shorter"
        " wakes.",
    )
    stop_after_s: float | None = Field(
        default=None,
        gt=0,
        description="Suspended seconds before the snapshot is given up for a colder start, whatever the plan.",
    )
    awake_cap_s: float | None = Field(
        default=None,
        gt=0,
        description="Quiet seconds after which a Machine sleeps even if it says that it works, whatever the plan.",
    )
    lease_s: float = Field(
        default=15,
        ge=2,
        le=120,
        description="Seconds for which the work of a replica that died lies still before another takes it up. Shorter"
        " costs more renewals, and a replica that stalls for so long loses its work.",
    )
    sweep_every_s: float = Field(default=10, gt=0, description="Seconds between two rounds of the sweeper.")
    queue_tries: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Attempts at making a user's Machine before it is given up as a dead letter: with 10 about half an"
        " hour. The operator is told, and the next visit after ten minutes tries again.",
    )
    reap: Literal["report", "machines", "volumes"] = Field(
        default="machines",
        description="What the reconciler may destroy by itself after two sightings and REAP_AFTER_S: nothing, Machines"
        " with our tags that no row knows, or their disks too, which hold somebody's data.",
    )
    reap_after_s: float = Field(
        default=900,
        ge=0,
        description="Seconds from the first sighting of an orphan to its end; two at least.",
    )
    reconcile_every_s: float = Field(
        default=300,
        gt=0,
        description="Seconds between two comparisons of Fly with our records.",
    )
    sleeps_per_second: float = Field(
        default=5,
        gt=0,
        description="Machines that a replica puts to sleep in a second, at most. Fly discourages many at once; slower"
        " costs money when thousands fall quiet together.",
    )
    hold_navigation_s: float = Field(
        default=1.5, ge=0, le=30, description="Seconds a page waits for a sleeping Machine before the loading page."
    )
    hold_first_visit_s: float = Field(
        default=0.3, ge=0, le=30, description="The same, for a Machine that is still to be made: seconds, not a moment."
    )
    hold_s: float = Field(
        default=30, gt=0, le=120, description="Seconds any other request waits for a sleeping Machine before a 503."
    )
    hold_per_user: int = Field(
        default=64, ge=1, description="Requests of one user that may wait at once; more are answered 503 at once."
    )
    hold_total: int = Field(default=4096, ge=1, description="Requests of all users that may wait at once on a replica.")
    hold_bytes_per_user: int = Field(
        default=8 * 2**20, ge=2**18, description="Bytes of request bodies of one user that may wait in memory at once."
    )
    hold_bytes_total: int = Field(
        default=256 * 2**20, ge=2**18, description="The same for all users. Bounds what a crowd of sleepers can cost."
    )
    open_per_user: int = Field(
        default=512,
        ge=8,
        description="Requests and streams of one user open at once on a replica; more get 429.",
    )
    rate_limits: Literal["enforce", "shadow", "off"] = Field(
        default="enforce", description="`shadow` counts who would be refused and refuses nobody; `off` counts nothing."
    )
    rate_factor: float = Field(
        default=1,
        gt=0,
        description="Multiplies how often a user may ask by their plan (`provisioner/plans.toml`), on each replica.",
    )
    sign_in_per_minute: float = Field(
        default=30,
        gt=0,
        description="Requests under /auth/ a minute and address, on each replica; twice as many at once. A sign-in"
        " makes two. Loopback is free: that is a proxy which names no client.",
    )
    touch_every_s: float = Field(
        default=2, gt=0, le=60, description="Seconds between two batches of `last_active` to Postgres."
    )
    session_days: float = Field(default=30, gt=0, description="Days without a visit after which a session ends.")
    session_max_days: float = Field(default=90, gt=0, description="Days after which a session ends in any case.")
    audit_keep_days: float = Field(
        default=400, ge=31, description="Days after which rows of the audit log go. The chain of hashes stays whole."
    )
    step_times_keep_days: float = Field(
        default=90,
        gt=0,
        description="Days after which it is forgotten how long somebody's wake took, and what kept them awake.",
    )

    signup_mode: Literal["open", "invite", "allow-list", "paid"] = Field(
        default="open",
        description="Who gets in without being asked about: everybody, nobody, those in SIGNUP_ALLOW, those with a paid"
        " plan. Everybody else waits until the operator lets them in.",
    )
    signup_allow: str = Field(
        default="",
        description="E-mail addresses and domains, joined by commas, that get in under every mode. Only as good as the"
        " sign-in's word for the address: keep unverified addresses off at Supabase.",
    )
    users_cap: int | None = Field(
        default=None, ge=0, description="Users let in by themselves, at most; more wait. The operator may let in more."
    )

    public_listen: str = Field(default="[::]:8080", description="host:port of the public listener.")
    admin_listen: str = Field(default="[::]:9090", description="host:port of the admin listener. Never make it public.")
    broker_listen: str = Field(default="[::]:8081", description="host:port where Machines will reach the LLM broker.")
    client_ip_header: str = Field(
        default="",
        description="Header in which the platform's edge names the client, `Fly-Client-IP` on Fly. Empty: the peer's"
        " address. Set it only behind an edge that always overwrites it.",
    )
    proxy_lane: Literal["core", "fast"] = Field(
        default="fast",
        description="`core` sends every request through aiohttp, as `fast` does with unusual ones: slower, and the same"
        " to the byte. For comparing.",
    )
    open_metrics: bool = Field(
        default=False,
        description="Lets anybody who reaches the admin listener read `/metrics`: Fly's scraper sends no token. Only"
        " counts, but Machines on the same network see them too.",
    )
    failpoints: str = Field(
        default="",
        description="For tests only: a file that names points at which this process is to kill itself (`make chaos`)."
        " Refused unless GATEWAY_ENV is dev, test or chaos and the Machines API is on this machine.",
    )
    webhooks_private: bool = Field(
        default=False, description="Lets webhooks go to private addresses, over plain HTTP too: into our own network."
    )
    log_format: Literal["json", "console"] = Field(default="json", description="`console` is for people.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")

    @model_validator(mode="after")
    def _pool_in_order(self) -> "Settings":
        if self.pool_min > self.pool_max:
            raise ValueError("POOL_MIN must not be more than POOL_MAX")
        return self

    @model_validator(mode="after")
    def _two_origins(self) -> "Settings":
        if urlsplit(self.account_url).hostname == urlsplit(self.public_url).hostname:
            raise ValueError("ACCOUNT_HOST must not be the host of PUBLIC_URL: Machines' pages live there")
        return self

    @model_validator(mode="after")
    def _no_failpoints_in_earnest(self) -> "Settings":
        harmless = self.gateway_env in _REHEARSALS and urlsplit(self.fly_api_url).hostname in _THIS_MACHINE
        if self.failpoints and not harmless:
            raise ValueError("FAILPOINTS kills this process on purpose: only for dev, test or chaos on a local cloud")
        return self

    @property
    def account_url(self) -> str:
        """The origin of the account pages."""
        parts = urlsplit(self.public_url)
        local = parts.hostname in _THIS_MACHINE
        host = self.account_host or ("account.localhost" if local else f"account.{parts.hostname}")
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is handed in counts, so that a test needs no environment and a room can read none."""
        return (init_settings,)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from a mapping such as `os.environ`. Raises BadSettings with every problem at once."""
    given = {name: value for name, value in environment.items() if value != ""}
    names = {name.upper(): name for name in Settings.model_fields}
    try:
        return Settings(**{names.get(name, name): value for name, value in given.items()})  # type: ignore[arg-type]
    except ValidationError as fault:
        raise BadSettings(_explain(fault)) from None


def _names(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [name.upper()]


_FIELDS: Final = {spelled: field for name, field in Settings.model_fields.items() for spelled in _names(name, field)}


def _explain(fault: ValidationError) -> str:
    lines = []
    for problem in fault.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
        field = _FIELDS.get(name)
        what = f" ({field.description})" if field is not None and problem["type"] == "missing" else ""
        lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}{what}")
    return "\n".join(lines)

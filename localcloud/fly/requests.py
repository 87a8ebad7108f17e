"""The bodies that calls take, as in Fly's OpenAPI document."""

from typing import Final

from localcloud.fly.config_shape import GUEST, MACHINE_CONFIG, STOP_SIGNAL
from localcloud.fly.shapes import BOOLEAN, INTEGER, STRING, ListOf, MapOf, one_of, shape

CREATE_APP: Final = shape(enable_subdomains=BOOLEAN, name=STRING, network=STRING, org_slug=STRING)
ASSIGN_IP: Final = shape(network=STRING, org_slug=STRING, region=STRING, service_name=STRING, type=STRING)
CREATE_MACHINE: Final = shape(
    config=MACHINE_CONFIG,
    lease_ttl=INTEGER,
    lsvd=BOOLEAN,
    min_secrets_version=INTEGER,
    name=STRING,
    region=STRING,
    skip_launch=BOOLEAN,
    skip_secrets=BOOLEAN,
    skip_service_registration=BOOLEAN,
)
UPDATE_MACHINE: Final = shape(
    config=MACHINE_CONFIG,
    current_version=STRING,
    lease_ttl=INTEGER,
    lsvd=BOOLEAN,
    min_secrets_version=INTEGER,
    name=STRING,
    region=STRING,
    skip_launch=BOOLEAN,
    skip_secrets=BOOLEAN,
    skip_service_registration=BOOLEAN,
)
STOP: Final = shape(signal=STOP_SIGNAL, timeout=STRING)
SIGNAL: Final = shape(
    signal=one_of(
        "SIGABRT",
        "SIGALRM",
        "SIGFPE",
        "SIGHUP",
        "SIGILL",
        "SIGINT",
        "SIGKILL",
        "SIGPIPE",
        "SIGQUIT",
        "SIGSEGV",
        "SIGTERM",
        "SIGTRAP",
        "SIGUSR1",
        "SIGUSR2",
    )
)
CREATE_LEASE: Final = shape(description=STRING, ttl=INTEGER)
UPDATE_METADATA: Final = shape(machine_version=STRING, metadata=MapOf(STRING, removable=True), updated_at=STRING)
UPSERT_METADATA_KEY: Final = shape(updated_at=STRING, value=STRING)
MACHINE_EXEC: Final = shape(
    cmd=STRING, command=ListOf(STRING), container=STRING, stdin=STRING, timeout=INTEGER, machine=BOOLEAN
)
CREATE_VOLUME: Final = shape(
    auto_backup_enabled=BOOLEAN,
    compute=GUEST,
    compute_image=STRING,
    encrypted=BOOLEAN,
    fstype=STRING,
    name=STRING,
    region=STRING,
    require_unique_zone=BOOLEAN,
    size_gb=INTEGER,
    snapshot_id=STRING,
    snapshot_retention=INTEGER,
    source_volume_id=STRING,
    unique_zone_app_wide=BOOLEAN,
)
UPDATE_VOLUME: Final = shape(auto_backup_enabled=BOOLEAN, snapshot_retention=INTEGER)
EXTEND_VOLUME: Final = shape(size_gb=INTEGER)
SET_APP_SECRET: Final = shape(value=STRING)
APP_SECRETS_UPDATE: Final = shape(values=MapOf(STRING, removable=True))
WEIGHTS: Final = MapOf(INTEGER)
GET_PLACEMENTS: Final = shape(
    "org_slug",
    compute=GUEST,
    count=INTEGER,
    org_slug=STRING,
    region=STRING,
    volume_name=STRING,
    volume_size_bytes=INTEGER,
    weights=WEIGHTS,
)

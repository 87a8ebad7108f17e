"""The shape of a Machine's config, as in Fly's OpenAPI document (`fly.MachineConfig` and what it refers to)."""

from typing import Final

from localcloud.fly.shapes import BOOLEAN, INTEGER, NUMBER, OBJECT, STRING, ListOf, MapOf, one_of, shape

STOP_SIGNAL: Final = one_of("SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM")
PERSIST: Final = one_of("never", "always", "restart")

CACHE_DRIVE: Final = shape(size_mb=INTEGER)
HTTP_HEADER: Final = shape(name=STRING, values=ListOf(STRING))
CHECK: Final = shape(
    grace_period=STRING,
    headers=ListOf(HTTP_HEADER),
    interval=STRING,
    kind=one_of("informational", "readiness"),
    method=STRING,
    path=STRING,
    port=INTEGER,
    protocol=STRING,
    timeout=STRING,
    tls_server_name=STRING,
    tls_skip_verify=BOOLEAN,
    type=STRING,
)
CONTAINER_DEPENDENCY_CONDITION: Final = one_of("exited_successfully", "healthy", "started")
CONTAINER_DEPENDENCY: Final = shape(condition=CONTAINER_DEPENDENCY_CONDITION, name=STRING)
ENV_FROM: Final = shape(env_var=STRING, field_ref=one_of("id", "version", "app_name", "private_ip", "region", "image"))
FILE: Final = shape(guest_path=STRING, image_config=STRING, mode=INTEGER, raw_value=STRING, secret_name=STRING)
EXEC_HEALTHCHECK: Final = shape(command=ListOf(STRING))
CONTAINER_HEALTHCHECK_SCHEME: Final = one_of("http", "https")
HTTP_HEALTHCHECK: Final = shape(
    headers=ListOf(HTTP_HEADER),
    method=STRING,
    path=STRING,
    port=INTEGER,
    scheme=CONTAINER_HEALTHCHECK_SCHEME,
    tls_server_name=STRING,
    tls_skip_verify=BOOLEAN,
)
CONTAINER_HEALTHCHECK_KIND: Final = one_of("readiness", "liveness")
TCP_HEALTHCHECK: Final = shape(port=INTEGER)
UNHEALTHY_POLICY: Final = one_of("stop")
CONTAINER_HEALTHCHECK: Final = shape(
    exec=EXEC_HEALTHCHECK,
    failure_threshold=INTEGER,
    grace_period=INTEGER,
    http=HTTP_HEALTHCHECK,
    interval=INTEGER,
    kind=CONTAINER_HEALTHCHECK_KIND,
    name=STRING,
    success_threshold=INTEGER,
    tcp=TCP_HEALTHCHECK,
    timeout=INTEGER,
    unhealthy=UNHEALTHY_POLICY,
)
RESTART: Final = shape(
    gpu_bid_price=NUMBER, max_retries=INTEGER, policy=one_of("no", "always", "on-failure", "spot-price")
)
SECRET: Final = shape(env_var=STRING, name=STRING)
STOP_CONFIG: Final = shape(signal=STOP_SIGNAL, timeout=STRING)
CONTAINER_CONFIG: Final = shape(
    cmd=ListOf(STRING),
    depends_on=ListOf(CONTAINER_DEPENDENCY),
    entrypoint=ListOf(STRING),
    env=MapOf(STRING),
    env_from=ListOf(ENV_FROM),
    exec=ListOf(STRING),
    files=ListOf(FILE),
    healthchecks=ListOf(CONTAINER_HEALTHCHECK),
    image=STRING,
    name=STRING,
    restart=RESTART,
    secrets=ListOf(SECRET),
    stop=STOP_CONFIG,
    user=STRING,
)
DNS_FORWARD_RULE: Final = shape(addr=STRING, basename=STRING)
DNS_OPTION: Final = shape(name=STRING, value=STRING)
DNS_CONFIG: Final = shape(
    dns_forward_rules=ListOf(DNS_FORWARD_RULE),
    hostname=STRING,
    hostname_fqdn=STRING,
    nameservers=ListOf(STRING),
    options=ListOf(DNS_OPTION),
    searches=ListOf(STRING),
    skip_registration=BOOLEAN,
)
GUEST: Final = shape(
    cpu_kind=STRING,
    cpus=INTEGER,
    gpu_kind=STRING,
    gpus=INTEGER,
    host_dedication_id=STRING,
    kernel_args=ListOf(STRING),
    max_memory_mb=INTEGER,
    memory_mb=INTEGER,
    persist_rootfs=PERSIST,
)
INIT: Final = shape(
    cmd=ListOf(STRING),
    entrypoint=ListOf(STRING),
    exec=ListOf(STRING),
    kernel_args=ListOf(STRING),
    swap_size_mb=INTEGER,
    tty=BOOLEAN,
)
METRICS: Final = shape(https=BOOLEAN, path=STRING, port=INTEGER)
MOUNT: Final = shape(
    add_size_gb=INTEGER,
    encrypted=BOOLEAN,
    extend_threshold_percent=INTEGER,
    name=STRING,
    path=STRING,
    size_gb=INTEGER,
    size_gb_limit=INTEGER,
    volume=STRING,
)
PROCESS: Final = shape(
    cmd=ListOf(STRING),
    entrypoint=ListOf(STRING),
    env=MapOf(STRING),
    env_from=ListOf(ENV_FROM),
    exec=ListOf(STRING),
    ignore_app_secrets=BOOLEAN,
    secrets=ListOf(SECRET),
    user=STRING,
)
ROOTFS: Final = shape(persist=PERSIST, size_gb=INTEGER)
SERVICE_CHECK: Final = shape(
    grace_period=STRING,
    headers=ListOf(HTTP_HEADER),
    interval=STRING,
    method=STRING,
    path=STRING,
    port=INTEGER,
    protocol=STRING,
    timeout=STRING,
    tls_server_name=STRING,
    tls_skip_verify=BOOLEAN,
    type=STRING,
)
SERVICE_CONCURRENCY: Final = shape(hard_limit=INTEGER, soft_limit=INTEGER, type=STRING)
REPLAY_CACHE: Final = shape(
    allow_bypass=BOOLEAN, name=STRING, path_prefix=STRING, ttl_seconds=INTEGER, type=one_of("cookie", "header")
)
HTTP_RESPONSE_OPTIONS: Final = shape(headers=MapOf(OBJECT), pristine=BOOLEAN)
HTTP_OPTIONS: Final = shape(
    compress=BOOLEAN,
    h2_backend=BOOLEAN,
    headers_read_timeout=INTEGER,
    idle_timeout=INTEGER,
    replay_cache=ListOf(REPLAY_CACHE),
    response=HTTP_RESPONSE_OPTIONS,
)
PROXY_PROTO_OPTIONS: Final = shape(version=STRING)
TLS_OPTIONS: Final = shape(alpn=ListOf(STRING), default_self_signed=BOOLEAN, versions=ListOf(STRING))
PORT: Final = shape(
    end_port=INTEGER,
    force_https=BOOLEAN,
    handlers=ListOf(STRING),
    http_options=HTTP_OPTIONS,
    port=INTEGER,
    proxy_proto_options=PROXY_PROTO_OPTIONS,
    start_port=INTEGER,
    tls_options=TLS_OPTIONS,
)
SERVICE: Final = shape(
    autostart=BOOLEAN,
    autostop=one_of("off", "stop", "suspend"),
    checks=ListOf(SERVICE_CHECK),
    concurrency=SERVICE_CONCURRENCY,
    force_instance_description=STRING,
    force_instance_key=STRING,
    internal_port=INTEGER,
    min_machines_running=INTEGER,
    ports=ListOf(PORT),
    protocol=STRING,
)
STATIC: Final = shape(
    "guest_path", "url_prefix", guest_path=STRING, index_document=STRING, tigris_bucket=STRING, url_prefix=STRING
)
SPOT: Final = shape(max_price_fraction=NUMBER)
MACHINE_CONFIG: Final = shape(
    auto_destroy=BOOLEAN,
    cache_drive=CACHE_DRIVE,
    checks=MapOf(CHECK),
    containers=ListOf(CONTAINER_CONFIG),
    disable_machine_autostart=BOOLEAN,
    dns=DNS_CONFIG,
    env=MapOf(STRING),
    files=ListOf(FILE),
    guest=GUEST,
    image=STRING,
    init=INIT,
    metadata=MapOf(STRING),
    metrics=METRICS,
    mounts=ListOf(MOUNT),
    processes=ListOf(PROCESS),
    restart=RESTART,
    rootfs=ROOTFS,
    schedule=STRING,
    services=ListOf(SERVICE),
    size=STRING,
    standbys=ListOf(STRING),
    statics=ListOf(STATIC),
    stop_config=STOP_CONFIG,
    spot=SPOT,
)

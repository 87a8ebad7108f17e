# The gateway. The image of user Machines is golden/Dockerfile.
#
# Dependencies are what requirements.lock says, by hash. The local cloud and everything for development stay outside.
# The version is pinned by hand: raise it, deploy, and let `fly deploy --image` with the older digest be the way back.
FROM python:3.13.9-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./

# Dependencies first: they change less often than the code, so this layer is kept.
RUN python -m venv /opt/my-jarvis \
 && /opt/my-jarvis/bin/python -m pip install --require-hashes -r requirements.lock

# What builds our own wheel, pinned by the same lock as on a developer's machine; it stays in this stage.
RUN awk '/^[a-z]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' requirements-dev.lock > build.lock \
 && python -m pip install --require-hashes -r build.lock

COPY pyproject.toml README.md ./
COPY gateway gateway
COPY provisioner provisioner
COPY sql sql
RUN python -m hatchling build -t wheel -d /wheel \
 && /opt/my-jarvis/bin/python -m pip install --no-deps --no-index /wheel/*.whl \
 && /opt/my-jarvis/bin/python -m pip uninstall --yes pip \
 && /opt/my-jarvis/bin/my-jarvis serve --help > /dev/null


FROM python:3.13.9-slim-bookworm

# Nothing is written at run time; logs go to stderr as they are said.
ENV PATH=/opt/my-jarvis/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/my-jarvis /opt/my-jarvis
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin jarvis
USER 10001
WORKDIR /opt/my-jarvis

# public, admin (private network only), broker (private network only)
EXPOSE 8080 9090 8081

# The exec form, so that the signal reaches the gateway and not a shell.
STOPSIGNAL SIGTERM
CMD ["my-jarvis", "serve"]

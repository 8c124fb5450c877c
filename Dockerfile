# One image for every part of Courier: `docker compose build`, or `docker build -t courier .`; then `docker run courier --help`.
#
# The same commit gives the same layers: packages are pinned by hash, bytecode does not depend on file times, and all
# times are SOURCE_DATE_EPOCH. With `--build-arg SOURCE_DATE_EPOCH=1767225600`, as in compose.yaml, the whole image is
# reproducible, because BuildKit then uses it as the image's creation time. With Python 3.13:
# `--build-arg PYTHON=python:3.13-slim-trixie`.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG SOURCE_DATE_EPOCH=1767225600
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
WORKDIR /src
RUN python -m venv --without-pip /opt/courier
COPY requirements-run.lock ./
RUN pip --python /opt/courier/bin/python install --quiet --require-hashes --requirement requirements-run.lock
COPY . ./
ARG REVISION=unknown
# setuptools is needed only to build the project. It has no git here: the commit comes from outside.
RUN COURIER_REVISION="${REVISION}" pip --python /opt/courier/bin/python install --quiet --no-deps --no-build-isolation . \
 && pip --python /opt/courier/bin/python uninstall --quiet --yes setuptools \
 && find /opt/courier -name __pycache__ -prune -exec rm -r {} +
RUN install -m 755 ops/deploy/courier-health /opt/courier/bin/
RUN /opt/courier/bin/python -P /opt/courier/lib/python3*/site-packages/courier/ops/module_runner.py ops.deploy.bytecode
# The user is two files, because useradd would store the time of the build.
RUN echo 'courier:x:999:999:Courier:/tmp:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'courier:x:999:' >>/etc/group \
 && mkdir -p /rootfs/etc/courier \
 && cp /etc/passwd /etc/group /rootfs/etc/ \
 && cp --recursive --parents /opt/courier /rootfs/ \
 && cd "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && find "$PWD" -name __pycache__ -not -path '*-packages/*' -exec cp --recursive --parents {} /rootfs/ ';' \
 && find /rootfs -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON}
ARG VERSION=unknown REVISION=unknown
COPY --from=build /rootfs/ /
# The process of a container writes the file once a second; the health check `courier-health` reads it.
ENV HOME=/tmp PATH=/opt/courier/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 COURIER_HEALTH_PATH=/tmp/courier.health
# Courier reads a courier.toml mounted here.
WORKDIR /etc/courier
USER 999:999
ENTRYPOINT ["courier"]
CMD ["--help"]
LABEL org.opencontainers.image.title="Courier" \
      org.opencontainers.image.description="A distributed, loss-free Integrator for Wazuh" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

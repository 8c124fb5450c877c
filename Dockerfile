# One image for every part of Courier: `docker build -t courier .`, then `docker run courier --help`.
#
# The same commit gives the same layers: every package is named with its hash, nothing is compiled to bytecode, and all
# times are SOURCE_DATE_EPOCH; the same image, too, with `--build-arg SOURCE_DATE_EPOCH=1767225600`, as compose.yaml has it,
# since BuildKit then writes that as the image's own time. With Python 3.13: `--build-arg PYTHON=python:3.13-slim-trixie`.
# Bytecode is written to /tmp at the first run, for as long as the container lives.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG SOURCE_DATE_EPOCH=1767225600
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv --without-pip /opt/courier
COPY requirements-run.lock ./
RUN pip --python /opt/courier/bin/python install --quiet --require-hashes --requirement requirements-run.lock
COPY . ./
# setuptools builds the project and is not needed after that.
RUN pip --python /opt/courier/bin/python install --quiet --no-deps --no-build-isolation . \
 && pip --python /opt/courier/bin/python uninstall --quiet --yes setuptools \
 && find /opt/courier -name __pycache__ -prune -exec rm -r {} +
# The user comes as two files, because useradd would leave the time of the build behind.
RUN echo 'courier:x:999:999:Courier:/tmp:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'courier:x:999:' >>/etc/group \
 && mkdir -p /rootfs/etc/courier /rootfs/opt \
 && cp /etc/passwd /etc/group /rootfs/etc/ \
 && mv /opt/courier /rootfs/opt/ \
 && find /rootfs -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Courier" \
      org.opencontainers.image.description="A distributed, loss-free Integrator for Wazuh" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /rootfs/ /
ENV HOME=/tmp PATH=/opt/courier/bin:/usr/local/bin:/usr/bin:/bin PYTHONPYCACHEPREFIX=/tmp/pycache PYTHONUNBUFFERED=1
# A courier.toml mounted here is read.
WORKDIR /etc/courier
USER 999:999
ENTRYPOINT ["courier"]
CMD ["--help"]

# What stands in for images that cannot be pulled: only the tests use it.
#
# Prometheus and nginx are Debian's, with upstream's entry point, command and paths. Grafana is not to be had: its place is taken
# by something that answers the health check, so that the place itself (user, mounts, networks, limits) is tried.
FROM debian:bookworm-slim AS prometheus
RUN apt-get update -qq && apt-get install -qq --no-install-recommends prometheus wget >/dev/null && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65534 -g 65534 /prometheus
VOLUME /prometheus
WORKDIR /prometheus
USER 65534
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]

FROM debian:bookworm-slim AS grafana
RUN apt-get update -qq && apt-get install -qq --no-install-recommends python3-minimal python3 wget >/dev/null && rm -rf /var/lib/apt/lists/* \
 && install -d -o 472 /var/lib/grafana && install -d /www/api && echo '{"database": "ok"}' >/www/api/health
USER 472
CMD ["python3", "-m", "http.server", "3000", "--directory", "/www"]

FROM debian:bookworm-slim AS nginx
RUN apt-get update -qq && apt-get install -qq --no-install-recommends nginx-light >/dev/null && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/*
CMD ["nginx", "-g", "daemon off;"]

# What stands in for images that cannot be pulled: only the tests use it.
#
# Prometheus, Alertmanager and nginx are Debian's, with upstream's entry point, command and paths. Grafana is not to be had: its place is taken
# by something that answers the health check, so that the place itself (user, mounts, networks, limits) is tried.
FROM debian:bookworm-slim AS prometheus
RUN apt-get update -qq && apt-get install -qq --no-install-recommends prometheus wget >/dev/null && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65534 -g 65534 /prometheus
VOLUME /prometheus
WORKDIR /prometheus
USER 65534
ENTRYPOINT ["prometheus"]
# What is the default since Prometheus 3 is asked for.
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus", "--enable-feature=expand-external-labels"]

FROM debian:bookworm-slim AS alertmanager
RUN apt-get update -qq && apt-get install -qq --no-install-recommends prometheus-alertmanager wget >/dev/null && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65534 -g 65534 /alertmanager
VOLUME /alertmanager
WORKDIR /alertmanager
USER 65534
ENTRYPOINT ["prometheus-alertmanager"]
CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]

FROM debian:bookworm-slim AS grafana
RUN apt-get update -qq && apt-get install -qq --no-install-recommends python3-minimal python3 wget >/dev/null && rm -rf /var/lib/apt/lists/* \
 && install -d -o 472 /var/lib/grafana && install -d /www/api && echo '{"database": "ok"}' >/www/api/health
RUN printf '#!/bin/sh\nexec python3 -m http.server 3000 --directory /www\n' >/run.sh && chmod 755 /run.sh \
 && install -d /usr/share/grafana/public && ln -s /usr/share/grafana/public /www/public
USER 472
ENTRYPOINT ["/run.sh"]

FROM debian:bookworm-slim AS nginx
RUN apt-get update -qq && apt-get install -qq --no-install-recommends nginx-light >/dev/null && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/*
CMD ["nginx", "-g", "daemon off;"]

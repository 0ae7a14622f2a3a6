# Two stages: the first builds the virtual environment, the second runs it as a user without rights.
# The steps are those of deploy/install.sh, which make and CI run too.
FROM python:3.11-slim-bookworm AS build
WORKDIR /opt/opsbridge
COPY setup.cfg pyproject.toml constraints.txt packages.txt README.md ./
COPY deploy/install.sh deploy/
COPY bridge bridge
COPY health_report health_report
COPY templates templates
RUN deploy/install.sh python /opt/opsbridge/.venv

FROM python:3.11-slim-bookworm
WORKDIR /opt/opsbridge
COPY packages.txt ./
COPY deploy/install.sh deploy/
RUN deploy/install.sh packages run && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/opsbridge --create-home opsbridge
COPY --from=build /opt/opsbridge /opt/opsbridge
COPY alert_rules alert_rules
COPY bridge.example.yml ./
USER opsbridge
WORKDIR /var/lib/opsbridge
ENV BRIDGE_CONFIG=/etc/opsbridge/bridge.yml PATH=/opt/opsbridge/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/-/ready', timeout=4)"]
CMD ["bridge", "run", "--host", "0.0.0.0"]

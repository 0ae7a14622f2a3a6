"""The cheapest honest view: Flask and one JSON decode, on the server that opsbridge runs on. It stores nothing."""

from __future__ import annotations

import os

import msgspec
from flask import Flask, request
from granian import Granian
from granian.constants import Interfaces

app = Flask(__name__)


@app.get("/")
def ready():
    return "ready"


@app.post("/ingest")
def ingest():
    return {"alerts": len(msgspec.json.decode(request.get_data())["alerts"])}


if __name__ == "__main__":
    Granian(
        "bench.bare:app",
        port=int(os.environ["PORT"]),
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=64,
        log_enabled=False,
    ).serve()

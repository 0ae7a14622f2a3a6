"""A WeCom robot as documented: HTTP 200 whatever happens, the truth in `errcode`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from tests.servers.http import Exchange, says

KEY = "canary-robot-key"
LIMIT = 4096
PER_MINUTE = 20


class Robot:
    """Behaviour of the robot; `shown` is what the group sees."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.shown: list[str] = []
        self._clock = clock
        self._calls: list[float] = []

    def __call__(self, exchange: Exchange) -> None:
        code, said = self._judge(exchange)
        says(200, {"errcode": code, "errmsg": said}, {"Content-Type": "application/json"})(exchange)

    def _judge(self, exchange: Exchange) -> tuple[int, str]:  # noqa: PLR0911  # one rule, one refusal
        request = exchange.request
        url = urlsplit(request.path)
        if request.method != "POST" or url.path != "/cgi-bin/webhook/send":
            return 40066, "invalid url"
        if parse_qs(url.query).get("key") != [KEY]:
            return 93000, "invalid webhook url"
        now = self._clock()
        self._calls = [at for at in self._calls if now - at < 60]
        if len(self._calls) >= PER_MINUTE:
            return 45009, "api freq out of limit"
        self._calls.append(now)
        try:
            body = json.loads(request.body)
            content = body["markdown"]["content"]
        except (ValueError, KeyError, TypeError):
            return 40008, "invalid message type"
        if body.get("msgtype") != "markdown" or not content.strip():
            return 40008, "invalid message type"
        if len(content.encode()) > LIMIT:
            return 40058, "markdown.content exceed max length 4096"
        self.shown.append(content)
        return 0, "ok"

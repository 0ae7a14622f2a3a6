"""Who is asking, and what they may see: the only place that decides it."""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import abort, current_app, g, request
from flask_login import UserMixin, current_user
from flask_wtf.csrf import CSRFProtect

from bridge.config.settings import Typed
from bridge.model import Actor
from bridge.store import people
from bridge.wiring import Bridge

View = TypeVar("View", bound=Callable[..., Any])

csrf = CSRFProtect()

LANGUAGES = ("en", "zh")
_TOKEN_SECONDS = 0.5
_MAY_ACT = ("admin", "responder")


@dataclass(frozen=True)
class Caller:
    """Whoever asks. `client` limits what is visible to that client's own; None sees everything."""

    name: str
    via: str
    may_write: bool
    client: str | None = None

    @property
    def actor(self) -> Actor:
        """How the timeline names them."""
        return Actor(self.name, self.via)


class SignedIn(UserMixin):  # type: ignore[misc]
    """Flask-Login's view of a person: its id is the session's secret, checked on every request."""

    def __init__(self, session: str, user: people.User) -> None:
        self.id = session
        self.user = user


class _Tokens:
    """Scopes by token for half a second: one read for a burst, and a revoked token dies within a second."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, tuple[str, list[str]] | None]] = {}
        self._lock = threading.Lock()

    def scopes(self, bridge: Bridge, secret: str) -> tuple[str, list[str]] | None:
        mark = people.fingerprint(secret)
        now = time.monotonic()
        seen = self._seen.get(mark)
        if seen and now - seen[0] < _TOKEN_SECONDS:
            return seen[1]
        with bridge.database.reading() as connection:
            found = people.token_scopes(connection, secret)
        with self._lock:
            if len(self._seen) > 1000:
                self._seen.clear()
            self._seen[mark] = (now, found)
        return found


_tokens = _Tokens()


def bridge() -> Bridge:
    """The bridge this request belongs to."""
    found: Bridge = current_app.extensions["bridge"]
    return found


def load_user(session: str) -> SignedIn | None:
    """Flask-Login asks: who is this session?"""
    with bridge().database.reading() as connection:
        user = people.session_user(connection, session, bridge().now())
    return SignedIn(session, user) if user else None


def language() -> str:
    """The reader's language: their own setting, else what the browser asks for."""
    if current_user and current_user.is_authenticated:
        return str(current_user.user.language)
    return request.accept_languages.best_match(LANGUAGES) or "en"


def time_zone() -> str:
    """Pages show UTC until accounts carry a zone of their own."""
    return "UTC"


def machine_token() -> str:
    """The token of a machine: Bearer, or the password of Basic. Never from the URL."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""


def may_ingest(name: str, secret: str) -> bool:
    """May whoever shows this secret deliver to the source? It is the source's own token or a scoped one."""
    if not secret:
        return False
    own = bridge().config.sources[name].settings.token
    if own is not None and hmac.compare_digest(own.reveal().encode(), secret.encode("utf-8", "replace")):
        return True
    found = _tokens.scopes(bridge(), secret)
    return found is not None and f"ingest:{name}" in found[1]


def _may_deliver(typed: Typed, body: Callable[[], bytes]) -> bool:
    """By token. Where a secret is configured by signature, and by token too if the source has one."""
    if getattr(typed.settings, "secret", None) is None:
        return may_ingest(typed.name, machine_token())
    if typed.settings.token is not None and not may_ingest(typed.name, machine_token()):
        return False
    return bool(typed.settings.signed(request.headers, body, bridge().now()))


def source(kind: str, name: str | None, body: Callable[[], bytes] = bytes) -> Typed:
    """The configured source a delivery is for; aborts with 401 for whoever may not deliver to it.

    Without a name it is the only source of its kind, or the one the token or signature belongs to. `body`
    gives the body as it came, for a signature; it is read only when the headers make one possible.
    """
    candidates = [typed for typed in bridge().config.sources.values() if typed.type == kind]
    if name is not None:
        candidates = [typed for typed in candidates if typed.name == name]
    allowed = [typed for typed in candidates if _may_deliver(typed, body)]
    if not allowed:
        known = name if name in bridge().config.sources else "unknown"
        bridge().metrics.notifications.labels(known, "unauthorized").inc()
        # The same answer for an unknown source and for a wrong token.
        abort(401, "a valid token for this source is needed")
    if len(allowed) > 1:
        abort(403, f"this token serves several sources: post to /ingest/{kind}/<source>")
    return allowed[0]


def keyed_source(kind: str, key: str) -> Typed | None:
    """The source whose key stands in the body instead of a header; None when it is not exactly one's.

    Every source of the kind is compared, so that the time taken does not tell how near a guess was.
    """
    candidates = [typed for typed in bridge().config.sources.values() if typed.type == kind]
    allowed = [typed for typed in candidates if may_ingest(typed.name, key)]
    if len(allowed) == 1:
        return allowed[0]
    bridge().metrics.notifications.labels("unknown", "unauthorized").inc()
    return None


def api_caller(*, write: bool) -> Caller:
    """Who calls the API: a scoped token, or a signed-in person. Aborts with 401 or 403."""
    secret = machine_token()
    if secret:
        found = _tokens.scopes(bridge(), secret)
        if found is None:
            abort(401, "the token is not valid")
        name, scopes = found
        client = next(
            (scope.removeprefix("client:") for scope in scopes if scope.startswith("client:")), None
        )
        may_write = "api:write" in scopes
        if not (may_write or "api:read" in scopes):
            abort(403, "the token has no api scope")
        caller = Caller(name, "api", may_write, client)
    elif current_user.is_authenticated:
        if write:
            csrf.protect()
        caller = person()
    else:
        abort(401, "sign in or send a token")
    if write and not caller.may_write:
        abort(403, "this caller may only read")
    return caller


def person() -> Caller:
    """The signed-in person."""
    user = current_user.user
    client = user.client if user.role == "client" else None
    return Caller(user.name, "console", user.role in _MAY_ACT, client)


def staff(view: View) -> View:
    """Pages of the console: signed in, and not a client (clients have the portal)."""

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_authenticated:
            return current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
        g.caller = person()
        if g.caller.client is not None:
            abort(403, "the console is for staff")
        if request.method == "POST" and not g.caller.may_write:
            abort(403, "your account may only read")
        return view(*args, **kwargs)

    return checked  # type: ignore[return-value]

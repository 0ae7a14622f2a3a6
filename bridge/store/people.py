"""Accounts, sessions, sign-in links, machine tokens and the keys this installation made for itself.

Tokens and links are kept as SHA-256 of 256 random bits; passwords as argon2id.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import argon2
from sqlalchemy import Connection, delete, func, insert, select, update

from bridge.store import bulk
from bridge.store.schema import keys, sessions, sign_in_failures, sign_in_links, tokens, users

SESSION = timedelta(hours=12)
LINK = timedelta(hours=24)
ROLES = ("admin", "responder", "viewer", "client")
MOST_FAILURES = 10
FAILURE_WINDOW = timedelta(minutes=15)
_hasher = argon2.PasswordHasher()
# Compared with when the user does not exist, so that both answers take the same time. Made once of random
# text that nobody kept: making it at each start would hold 64 MB for a moment.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$obmmHMMxLwZzE1iqDfEGmg$hQrjth+bBbgpJXxjVfYxN30/94UVzLmcaIymd6Qpaao"
_UNUSABLE = "!"


@dataclass(frozen=True)
class User:
    """A person with an account."""

    name: str
    role: str
    client: str
    language: str


class NoSuchUser(LookupError):
    """There is no account of this name."""


def fingerprint(secret: str) -> str:
    """What is stored of a random secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def add_user(
    connection: Connection, name: str, role: str, now: datetime, *, client: str = "", language: str = "en"
) -> None:
    """Make an account without a password; a sign-in link lets its owner set one. Raises ValueError."""
    if connection.execute(select(users.c.name).where(users.c.name == name)).one_or_none() is not None:
        raise ValueError(f"there is a user {name!r} already")
    connection.execute(
        insert(users).values(
            name=name, password=_UNUSABLE, role=role, client=client, language=language, created_at=now
        )
    )


def count_users(connection: Connection) -> int:
    """How many accounts there are."""
    return connection.execute(select(func.count()).select_from(users)).scalar_one()


def list_users(connection: Connection) -> list[Any]:
    """All accounts, without their passwords."""
    columns = [column for column in users.c if column.name != "password"]
    return list(connection.execute(select(*columns).order_by(users.c.name)))


def set_password(connection: Connection, name: str, password: str) -> None:
    """Set a password and end every session of the account. Raises NoSuchUser."""
    done = connection.execute(
        update(users).where(users.c.name == name).values(password=_hasher.hash(password))
    )
    if done.rowcount != 1:
        raise NoSuchUser(f"there is no user {name!r}")
    connection.execute(delete(sessions).where(sessions.c.user == name))


def check_password(connection: Connection, name: str, password: str) -> User | None:
    """The user when name and password are right; takes as long when the name is unknown."""
    row = connection.execute(
        select(users).where(users.c.name == name, users.c.disabled_at.is_(None))
    ).one_or_none()
    known = row is not None and row.password != _UNUSABLE
    stored = row.password if row is not None and known else _NOBODY
    try:
        _hasher.verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return None
    return _user(row) if row is not None and known else None


def too_many_failures(connection: Connection, subject: str, now: datetime) -> bool:
    """Has this address or account failed too often lately?"""
    query = select(func.count()).where(
        sign_in_failures.c.subject == subject, sign_in_failures.c.at > now - FAILURE_WINDOW
    )
    return connection.execute(query).scalar_one() >= MOST_FAILURES


def add_failure(connection: Connection, subject: str, now: datetime) -> None:
    """Remember a failed sign-in; old ones are dropped."""
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.at < now - FAILURE_WINDOW))
    connection.execute(insert(sign_in_failures).values(subject=subject[:120], at=now))


def new_link(connection: Connection, name: str, now: datetime) -> str:
    """A one-time sign-in link's secret; older unused ones of the account end."""
    if connection.execute(select(users.c.name).where(users.c.name == name)).one_or_none() is None:
        raise NoSuchUser(f"there is no user {name!r}")
    connection.execute(delete(sign_in_links).where(sign_in_links.c.user == name))
    secret = secrets.token_urlsafe(32)
    connection.execute(
        insert(sign_in_links).values(hash=fingerprint(secret), user=name, expires_at=now + LINK)
    )
    return secret


def link_user(connection: Connection, secret: str, now: datetime) -> str | None:
    """Whose link this is, when it can still be used; looking does not use it."""
    query = select(sign_in_links.c.user).where(
        sign_in_links.c.hash == fingerprint(secret),
        sign_in_links.c.used_at.is_(None),
        sign_in_links.c.expires_at > now,
    )
    return connection.execute(query).scalar_one_or_none()


def use_link(connection: Connection, secret: str, now: datetime) -> str | None:
    """Use a link up; the name of its user, or None when it was used or has expired."""
    used = connection.execute(
        update(sign_in_links)
        .where(
            sign_in_links.c.hash == fingerprint(secret),
            sign_in_links.c.used_at.is_(None),
            sign_in_links.c.expires_at > now,
        )
        .values(used_at=now)
        .returning(sign_in_links.c.user)
    )
    return used.scalar_one_or_none()


def new_session(connection: Connection, name: str, now: datetime) -> str:
    """Start a session; its secret goes into the cookie."""
    secret = secrets.token_urlsafe(32)
    connection.execute(
        insert(sessions).values(hash=fingerprint(secret), user=name, created_at=now, expires_at=now + SESSION)
    )
    return secret


def session_user(connection: Connection, secret: str, now: datetime) -> User | None:
    """Who is signed in with this session."""
    row = connection.execute(
        select(users)
        .join(sessions, sessions.c.user == users.c.name)
        .where(
            sessions.c.hash == fingerprint(secret),
            sessions.c.expires_at > now,
            sessions.c.ended_at.is_(None),
            users.c.disabled_at.is_(None),
        )
    ).one_or_none()
    return _user(row) if row is not None else None


def end_session(connection: Connection, secret: str, now: datetime) -> None:
    """Sign out; effective everywhere with the next request."""
    connection.execute(update(sessions).where(sessions.c.hash == fingerprint(secret)).values(ended_at=now))


def new_token(connection: Connection, name: str, scopes: list[str], now: datetime) -> str:
    """Make a machine token; it is shown once. Raises ValueError for a name that was used."""
    if connection.execute(select(tokens.c.name).where(tokens.c.name == name)).one_or_none() is not None:
        raise ValueError(f"there is or was a token {name!r}; take another name")
    secret = secrets.token_urlsafe(32)
    connection.execute(
        insert(tokens).values(name=name, hash=fingerprint(secret), scopes=scopes, created_at=now)
    )
    return secret


def token_scopes(connection: Connection, secret: str) -> tuple[str, list[str]] | None:
    """Name and scopes of a token that is not revoked."""
    query = select(tokens.c.name, tokens.c.scopes).where(
        tokens.c.hash == fingerprint(secret), tokens.c.revoked_at.is_(None)
    )
    row = connection.execute(query).one_or_none()
    return (row.name, row.scopes) if row is not None else None


def revoke_token(connection: Connection, name: str, now: datetime) -> bool:
    """Revoke a token; False when there is none of that name."""
    query = update(tokens).where(tokens.c.name == name, tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    return connection.execute(query).rowcount == 1


def list_tokens(connection: Connection) -> list[Any]:
    """All tokens without their secrets."""
    columns = (tokens.c.name, tokens.c.scopes, tokens.c.created_at, tokens.c.revoked_at)
    return list(connection.execute(select(*columns).order_by(tokens.c.name)))


def own_key(connection: Connection, name: str) -> str:
    """A key that this installation made for itself at its first start, the same on every replica."""
    fresh = bulk.upsert(connection, keys).values(name=name, value=secrets.token_urlsafe(48))
    connection.execute(fresh.on_conflict_do_nothing(index_elements=["name"]))
    return str(connection.execute(select(keys.c.value).where(keys.c.name == name)).scalar_one())


def _user(row: Any) -> User:
    return User(row.name, row.role, row.client, row.language)

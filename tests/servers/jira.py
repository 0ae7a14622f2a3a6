"""A Jira server as its REST API 2 is documented: required fields, limits, label search, rate limits."""

from __future__ import annotations

import base64
import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.http import Exchange, resets, says

TOKEN = "canary-jira-token"
PROJECT = "OPS"
_JQL = re.compile(r'project = "((?:[^"\\]|\\.)*)" AND labels = "((?:[^"\\]|\\.)*)"')


class Jira:
    """Keeps issues and their comments. `lose`: so many answers to creations get lost on the way."""

    def __init__(self, *, cloud_user: str = "", lose: int = 0, busy: int = 0) -> None:
        self.issues: dict[str, dict[str, Any]] = {}
        self.comments: dict[str, list[str]] = {}
        self.searches: list[str] = []
        self.lose = lose
        self.busy = busy
        self._user = cloud_user

    def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        url = urlsplit(request.path)
        if request.headers.get("Authorization") != self._expected():
            says(401, {"errorMessages": ["You are not authenticated."]})(exchange)
            return
        if self.busy:
            self.busy -= 1
            says(429, {"errorMessages": ["Rate limit exceeded."]}, {"Retry-After": "7"})(exchange)
            return
        created = re.fullmatch(r"/rest/api/2/issue/([^/]+)/comment", url.path)
        if request.method == "GET" and url.path == self._search_path():
            self._search(exchange, parse_qs(url.query).get("jql", [""])[0])
        elif request.method == "POST" and url.path == "/rest/api/2/issue":
            self._create(exchange, json.loads(request.body))
        elif request.method == "POST" and created:
            self._comment(exchange, unquote(created[1]), json.loads(request.body))
        else:
            says(404, {"errorMessages": ["no such resource"]})(exchange)

    def _expected(self) -> str:
        if self._user:
            return "Basic " + base64.b64encode(f"{self._user}:{TOKEN}".encode()).decode()
        return f"Bearer {TOKEN}"

    def _search_path(self) -> str:
        return "/rest/api/3/search/jql" if self._user else "/rest/api/2/search"

    def _search(self, exchange: Exchange, jql: str) -> None:
        self.searches.append(jql)
        found = _JQL.fullmatch(jql)
        if not found:
            says(400, {"errorMessages": ["Error in the JQL Query"]})(exchange)
            return
        project, label = (re.sub(r"\\(.)", r"\1", part) for part in found.groups())
        issues = [
            {"key": key, "id": "1", "self": "x"}
            for key, fields in self.issues.items()
            if fields["project"]["key"] == project and label in fields["labels"]
        ]
        says(200, {"issues": issues})(exchange)

    def _create(self, exchange: Exchange, body: Any) -> None:
        errors = self._errors(body.get("fields") or {})
        if errors:
            says(400, {"errorMessages": [], "errors": errors})(exchange)
            return
        key = f"{PROJECT}-{len(self.issues) + 1}"
        self.issues[key] = body["fields"]
        self.comments[key] = []
        if self.lose:
            self.lose -= 1
            resets()(exchange)
        else:
            says(201, {"id": "10000", "key": key, "self": "x"})(exchange)

    def _errors(self, fields: dict[str, Any]) -> dict[str, str]:
        errors: dict[str, str] = {}
        summary = fields.get("summary")
        if not summary:
            errors["summary"] = "You must specify a summary of the issue."
        elif len(summary) > 255 or "\n" in summary or "\r" in summary:
            errors["summary"] = "The summary is invalid."
        if (fields.get("project") or {}).get("key") != PROJECT:
            errors["project"] = "valid project is required"
        if not (fields.get("issuetype") or {}).get("name"):
            errors["issuetype"] = "valid issue type is required"
        if len(fields.get("description", "")) > 32_767:
            errors["description"] = "The entered text is too long."
        if any(" " in label for label in fields.get("labels", ())):
            errors["labels"] = "The label can't contain spaces."
        if "priority" in fields and fields["priority"].get("name") not in ("Highest", "High"):
            errors["priority"] = "The priority selected is invalid."
        return errors

    def _comment(self, exchange: Exchange, key: str, body: dict[str, str]) -> None:
        if key not in self.issues:
            says(404, {"errorMessages": ["Issue Does Not Exist"]})(exchange)
        elif not body.get("body") or len(body["body"]) > 32_767:
            says(400, {"errors": {"comment": "Comment body can not be empty or too long!"}})(exchange)
        else:
            self.comments[key].append(body["body"])
            said = {"id": "1", "body": body["body"], "renderedBody": f"<p>{body['body']}</p>"}
            says(201, said)(exchange)

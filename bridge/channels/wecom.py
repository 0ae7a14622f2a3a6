"""WeCom (企业微信) group robot.

The robot answers HTTP 200 with an `errcode` inside: only 0 is success. Limits (vendor's documents):
20 messages a minute for each robot, 4,096 bytes of markdown. There is no escape character in its
markdown, so characters with a meaning are replaced by their full-width twins.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from bridge.config.settings import Budget, ChannelSettings
from bridge.config.values import Secret
from bridge.delivery import Answer, DeliveryError, Outbound
from bridge.model import Message, Receipt
from bridge.registry import channels
from bridge.text import clip_bytes, storable, visible

LIMIT = 4096
LONGEST_LINKS = 2048
_PLAIN = str.maketrans(
    {"<": "＜", ">": "＞", "[": "［", "]": "］", "`": "ˋ", "*": "＊", "#": "＃", "@": "＠"}
)
_COLOURS = {"P1": "warning", "P2": "comment"}
# -1: the system is busy; 45009, 45033: too many calls. Everything else stays wrong however often we ask.
_PASSING = frozenset({-1, 45009, 45033})


class Settings(ChannelSettings, frozen=True, kw_only=True):
    """The robot's key; `url` points elsewhere than the public address."""

    key: Secret
    url: str = "https://qyapi.weixin.qq.com"
    budget: Budget = Budget(per_minute=18)


@channels.register("wecom", Settings)
def send(settings: Settings, message: Message, outbound: Outbound, now: datetime) -> Receipt:
    """WeCom (企业微信) group robot."""
    del now
    answer = outbound.expect(
        "POST",
        f"{settings.url.rstrip('/')}/cgi-bin/webhook/send?key={settings.key.reveal()}",
        json={"msgtype": "markdown", "markdown": {"content": markdown(message)}},
    )
    return _receipt(answer, message)


def markdown(message: Message) -> str:
    """The message as the robot's markdown, cut at its limit with the links kept."""
    colour = _COLOURS.get(message.priority, "info")
    head = f'<font color="{colour}">**{clip_bytes(_plain(message.title), 600)}**</font>\n'
    room = LIMIT - len(head.encode())
    links = ""
    for name, url in message.links:
        link = f"\n[{clip_bytes(_plain(name), 100)}]({_address(url)})"
        if len((links + link).encode()) <= min(room, LONGEST_LINKS):
            links += link
    text = "\n".join(_plain(line) for line in message.lines)
    return head + clip_bytes(text, room - len(links.encode())) + links


def _plain(text: str) -> str:
    return visible(text).translate(_PLAIN)


def _address(url: str) -> str:
    """The address with everything percent-encoded that could end the link it stands in."""
    return quote(storable(url), safe=":/?#@!$&'*+,;=%-._~")


def _receipt(answer: Answer, message: Message) -> Receipt:
    said = answer.json()
    code = said.get("errcode") if isinstance(said, dict) else None
    if code == 0 and not isinstance(code, bool):
        return Receipt(id=message.id, said="errcode 0")
    if not isinstance(code, int) or isinstance(code, bool):
        raise DeliveryError("WeCom answered without an errcode", retry=True, unknown=True)
    raise DeliveryError(f"WeCom refused the message: errcode {code}", retry=code in _PASSING)

"""What a page is made of: its elements, their attributes and its text, as a browser's parser sees them."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

# Attributes that a browser follows, loads or sends to.
ADDRESSES = frozenset(
    ("href", "src", "srcset", "srcdoc", "action", "formaction", "data", "poster", "ping", "background")
) | frozenset(("manifest", "cite", "codebase", "longdesc", "usemap", "xlink:href", "icon", "profile"))
# Characters that hide, reorder or end what people and terminals see; new lines and tabs are no harm.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0001-\U000e007f\ud800-\udfff]"
)
Attribute = tuple[str, str, str]


def figures_away(text: str) -> str:
    """The text with every number, trace and cursor the same."""
    text = re.sub(r"\b[0-9a-f]{16}\b", "0", re.sub(r"cursor=[^&]*", "cursor=0", text))
    return re.sub(r"\d+(\.\d+)?", "0", text)


class Page(HTMLParser):
    """One page. Figures in attributes are all the same: numbers and times differ from page to page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements: Counter[str] = Counter()
        self.attributes: set[Attribute] = set()
        self.addresses: list[tuple[str, str, str]] = []
        self.others: list[str] = []
        self._text: list[str] = []
        self.feed(source)
        self.close()

    @property
    def text(self) -> str:
        """Everything between the elements."""
        return "".join(self._text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        secret = ("name", "csrf_token") in attrs
        for name, value in attrs:
            given = value or ""
            if name in ADDRESSES:
                self.addresses.append((tag, name, given))
            shown = "(token)" if secret and name == "value" else figures_away(given)
            self.attributes.add((tag, name, shown))

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)

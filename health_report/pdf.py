"""The child process that turns one HTML page into a PDF: `python -m health_report.pdf TARGET < page.html`.

It runs apart because a page may be made hostile by a label: limits hold for this process alone, and
nothing it does can reach a file, the network or the service. Exit code 3: WeasyPrint is not there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys
from typing import Any, NoReturn

MEMORY = 768 * 1024 * 1024
CPU_SECONDS = 60
MISSING = 3


def limit() -> None:
    """Bound this process' memory and CPU time; the limits cannot be raised again."""
    for what, bound in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, CPU_SECONDS)):
        _, hard = resource.getrlimit(what)
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        # macOS knows RLIMIT_AS but refuses to set it; the parent's time-out still holds there.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def refuse(url: str, *_: Any, **__: Any) -> NoReturn:
    """The only fetcher: the page carries everything it needs, so every URL is refused."""
    raise ValueError(f"a report loads nothing: {url[:60]}")


def render(page: str) -> bytes:
    """The page as tagged PDF/UA with outline, title and language. Raises ImportError or OSError without
    WeasyPrint or one of its libraries.
    """
    import weasyprint  # noqa: PLC0415  only here, so that its absence can be told from a mistake

    class Refusing(weasyprint.urls.URLFetcher):  # type: ignore[misc]
        def fetch(self, url: str, headers: Any = None) -> NoReturn:  # noqa: ARG002
            refuse(url)

    document = weasyprint.HTML(string=page, url_fetcher=Refusing(), base_url=None)
    result = document.write_pdf(pdf_variant="pdf/ua-1", pdf_tags=True, optimize_images=False)
    return bytes(result)


def main() -> int:
    """Read the page from standard input, write the PDF to the file named."""
    limit()
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    page = sys.stdin.buffer.read().decode()
    try:
        import weasyprint  # noqa: F401, PLC0415
    except (ImportError, OSError) as error:
        print(str(error).splitlines()[0], file=sys.stderr)  # noqa: T201
        return MISSING
    data = render(page)
    with open(sys.argv[1], "wb") as target:  # noqa: PTH123  a name we were given, nothing to join
        target.write(data)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Pango reads the fonts in a thread of its own; tearing the process down under it crashed one small
    # page in a hundred after the PDF was written. Everything is on disk, so nothing needs tearing down.
    os._exit(code)

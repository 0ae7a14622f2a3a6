"""Structured logs: one JSON line an event, with the trace id of the request it belongs to."""

from __future__ import annotations

import logging
import sys

import structlog

from bridge.text import visible

LONGEST = 4000


def configure(level: int = logging.INFO) -> None:
    """Send everything, ours and the libraries', as JSON lines to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _harmless,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # These tell every tick and every connection, with addresses that may hold secrets.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that is skipped comes again
    for noisy in ("alembic", "urllib3", "fontTools", "weasyprint", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _harmless(
    logger: logging.Logger, method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """No control character and no megabyte reaches a terminal or a log shipper."""
    del logger, method
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = visible(value)[:LONGEST]
    return event

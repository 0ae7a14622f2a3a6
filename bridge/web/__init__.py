"""The HTTP side: create_app and what it serves."""

from bridge.web.app import create_app

__all__ = ["create_app"]

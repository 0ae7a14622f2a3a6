"""A wire that can be cut: TCP and UDP of one loopback port, passed on to another."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from bridge.demo.stack import free_port

HOST = "127.0.0.1"
Handler = Callable[[socket.socket], None]


class Wire:
    """Whoever talks to `port` reaches `target`, by TCP and by UDP, but not between `cut` and `heal`."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = (HOST, target)
        self._is_cut = False
        self._over = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._partners: dict[socket.socket, socket.socket] = {}
        self._replies: dict[Any, socket.socket] = {}
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((HOST, self.port))
        self._watch(socket.create_server((HOST, self.port)), self._connected)
        self._watch(self._datagrams, self._outward)
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def cut(self) -> None:
        """Drop everything, connections included: both ends live on and hear nothing of each other."""
        self._is_cut = True

    def heal(self) -> None:
        """Pass everything on again."""
        self._is_cut = False

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _watch(self, link: socket.socket, handler: Handler) -> None:
        self._selector.register(link, selectors.EVENT_READ, handler)

    def _run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.02):
                link: Any = key.fileobj
                if link.fileno() != -1:  # closed by a handler of this very turn
                    key.data(link)
            if self._is_cut:
                for link in list(self._partners):
                    self._close(link)

    def _connected(self, listener: socket.socket) -> None:
        near, _ = listener.accept()
        try:
            if self._is_cut:
                raise ConnectionAbortedError
            far = socket.create_connection(self._target, 2)
        except OSError:
            near.close()
            return
        self._partners |= {near: far, far: near}
        self._watch(near, self._copy)
        self._watch(far, self._copy)

    def _copy(self, source: socket.socket) -> None:
        """One end of a connection has spoken, or has said its last."""
        partner = self._partners[source]
        try:
            data = source.recv(65536)
            if data:
                partner.sendall(data)
                return
            partner.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(source)
            return
        self._selector.unregister(source)
        if partner not in self._selector.get_map():
            self._close(source)

    def _close(self, link: socket.socket) -> None:
        partner = self._partners.pop(link, None)
        if partner is not None:
            self._partners.pop(partner, None)
            for end in (link, partner):
                with contextlib.suppress(KeyError):
                    self._selector.unregister(end)
                end.close()

    def _outward(self, datagrams: socket.socket) -> None:
        data, sender = datagrams.recvfrom(65536)
        if self._is_cut:
            return
        if sender not in self._replies:
            self._replies[sender] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._replies[sender].bind((HOST, 0))
            self._watch(self._replies[sender], partial(self._back, sender))
        with contextlib.suppress(OSError):
            self._replies[sender].sendto(data, self._target)

    def _back(self, sender: Any, replies: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data = replies.recv(65536)
            if not self._is_cut:
                self._datagrams.sendto(data, sender)

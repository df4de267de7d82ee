"""Lines of JSON between the processes of a job, over connections of our own."""

import contextlib
import json
import socket
from typing import Any

# A configuration is a few kilobytes; whoever sends more is a stranger.
_MAX_BYTES = 1 << 20


class Connection:
    """One end of a conversation; whatever is not a line of JSON objects is no message."""

    def __init__(self, connection: socket.socket):
        self._socket = connection
        self._lines = connection.makefile("rb")
        with contextlib.suppress(OSError):
            self.host = str(connection.getpeername()[0])

    # The other end's address.
    host = "an unknown address"

    def send(self, **message: Any) -> None:
        """Sends one message.

        Raises:
            OSError: the other end is gone.
        """
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None if the other end is gone, late, or speaks of other things."""
        with contextlib.suppress(OSError, ValueError):  # UnicodeDecodeError, JSONDecodeError
            self._socket.settimeout(timeout_s)
            message = json.loads(self._lines.readline(_MAX_BYTES))
            return message if isinstance(message, dict) else None
        return None

    def notice_silence(self, seconds: int) -> None:
        """From now on `receive` ends when the other end's system is silent for so long, too."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        probes = 3
        for name, value in {
            "TCP_KEEPIDLE": seconds // (probes + 1),
            "TCP_KEEPINTVL": seconds // (probes + 1),
            "TCP_KEEPCNT": probes,
            "TCP_USER_TIMEOUT": 1000 * seconds,  # the same where something is under way to it
        }.items():
            with contextlib.suppress(AttributeError, OSError):  # not all systems have all of them
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def close(self) -> None:
        """Ends the conversation."""
        self._lines.close()
        self._socket.close()

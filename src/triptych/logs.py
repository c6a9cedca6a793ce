"""Structured logs: one JSON object a line on stderr, with the id of the request it is about."""

from __future__ import annotations

import atexit
import contextvars
import json
import logging
import os
import queue
import sys
import time
from logging.handlers import QueueHandler, QueueListener

# Set for the duration of a request; every line logged meanwhile carries it.
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """time (UTC), level, service, message, request_id where there is one, and whatever `extra` brought."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, object] = {"time": moment, "level": record.levelname, "service": self._service}
        line |= {"logger": record.name, "message": record.getMessage()}
        if identity := request_id.get():
            line["request_id"] = identity
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if exception := record.exc_text or (record.exc_info and self.formatException(record.exc_info)):
            line["exception"] = exception
        return json.dumps(line, default=str)


class _HandOver(QueueHandler):
    """To a thread of the same process, so records go as they are, but for tracebacks.

    The thread keeps a record until the next one comes, and a traceback holds all that its frames hold.
    """

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leaves formatting to the thread."""
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        return record


def setup_logging(service: str, *, in_thread: bool = False) -> None:
    """Sends this process's logs to stderr as JSON; the level is TRIPTYCH_LOG_LEVEL, default INFO.

    With `in_thread` lines are made and written beside whoever logs; they do not know `request_id`.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    if in_thread:
        records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        listener = QueueListener(records, handler)
        listener.start()
        atexit.register(listener.stop)
        handler = _HandOver(records)
    logging.basicConfig(level=os.environ.get("TRIPTYCH_LOG_LEVEL", "INFO").upper(), handlers=[handler], force=True)

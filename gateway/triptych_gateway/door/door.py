"""The door as a whole: who is known, and the application behind all that a request passes.

door = Door(settings)
app.state.door = door
application = door.before(app, answer)
"""

from __future__ import annotations

from pathlib import Path

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from triptych.keys import Keys
from triptych_gateway.door.authentication import Authentication
from triptych_gateway.door.bodies import BodyBudget
from triptych_gateway.door.envelope import Envelope
from triptych_gateway.door.leaving import CancelOnDisconnect
from triptych_gateway.door.origins import OriginCheck
from triptych_gateway.door.secret import Secret
from triptych_gateway.door.sessions import Sessions
from triptych_gateway.door.settings import DoorSettings
from triptych_gateway.errors import Answer


class Door:
    """One gateway's."""

    def __init__(self, settings: DoorSettings, state_dir: Path) -> None:
        self.settings = settings
        self.secret = Secret.kept(settings.secret_file or state_dir / "secret")
        self.keys = Keys(settings.credentials) if settings.credentials else None
        self.sessions = Sessions(self.keys, self.secret("sessions")) if self.keys else None

    def before(self, app: ASGIApp, answer: Answer) -> ASGIApp:
        """The application with the door before it; read from below, for a request passes the last line first."""
        settings = self.settings
        app = CancelOnDisconnect(app)
        app = BodyBudget(app, settings.max_bodies_bytes, settings.max_body_bytes, answer)
        app = Authentication(app, self.keys, self.sessions, self.secret, answer)
        takes_any_host = self.keys is not None or (settings.open_to_anyone and not settings.allowed_hosts)
        app = OriginCheck(app, settings.cors_origins, None if takes_any_host else settings.allowed_hosts, answer)
        if settings.cors_origins:
            app = CORSMiddleware(
                app, settings.cors_origins, allow_methods=["*"], allow_headers=["*"], expose_headers=["X-Request-ID"]
            )
        return Envelope(app)

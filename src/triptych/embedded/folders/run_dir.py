"""The folder of one stack's logs and state, held by one stack at a time."""

from __future__ import annotations

from pathlib import Path

from triptych.embedded.folders.held_folder import HeldFolder
from triptych.embedded.folders.places import absolute, usable
from triptych.embedded.folders.temporary import TemporaryFolder

REMEDY = "name another folder with --run-dir or XDG_STATE_HOME, or keep nothing with --ephemeral"


class RunDir:
    """A folder that was asked for, or a fresh one of its own."""

    def __init__(self, chosen: str | Path | None) -> None:
        self._temporary = _fresh() if chosen is None else None
        self.path = self._temporary.path if self._temporary else absolute("run_dir", chosen or "")
        held = HeldFolder("run_dir", self.path, REMEDY)
        self.was_abandoned = held.was_abandoned  # by a stack that was killed
        self._held = [held]
        with usable("run_dir", self.path, REMEDY):
            (self.path / "state").mkdir(mode=0o700, exist_ok=True)

    def hold_loras(self, folder: Path) -> None:
        """Holds the folder of LoRAs too: of two servers in it, each would sweep away the other's files."""
        self._held.append(HeldFolder("lora_dir", folder, "name another with --lora-dir"))

    def close(self, keep: bool) -> None:
        """Gives it up; removes it if it is temporary, unless it has logs that are to be kept until the next is made."""
        for held in self._held:
            held.close()
        if self._temporary:
            self._temporary.close(keep and any(self.path.glob("*.log")))


def _fresh() -> TemporaryFolder:
    with usable("run_dir", "a temporary folder", "name another place with TMPDIR or --run-dir"):
        return TemporaryFolder()

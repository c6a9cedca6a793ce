"""Make the training package importable: it lives beside the installed one, not inside it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

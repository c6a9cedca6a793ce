from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.embedded.processes import ascii_python

ASK = "import json, sys, numpy, triptych_unet; print(json.dumps([sys.prefix, sys.base_prefix, sys.path]))"
LINK = """
import sys
from pathlib import Path
from triptych.embedded.processes import ascii_python
assert ascii_python.is_needed()
ascii_python.link_environment(Path(sys.argv[1]))
"""


def environment(folder: Path) -> Path:
    """A virtual environment as it is where a home folder has such a name; returns its Python."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "venv/lib" / version / "site-packages"
    for made in (packages, folder / "venv/bin"):
        made.mkdir(parents=True)
    (folder / "base").symlink_to(sys.base_prefix)
    (folder / "venv/pyvenv.cfg").write_text(f"home = {folder / 'base/bin'}\n")
    (folder / "venv/bin/python3").symlink_to(folder / "base/bin" / version)
    for number, place in enumerate(ascii_python._places()):
        (folder / f"packages-{number}").symlink_to(place)
    (packages / "paths.pth").write_text("".join(f"{path}\n" for path in sorted(folder.glob("packages-*"))))
    return folder / "venv/bin/python3"


def test_an_environment_without_an_ascii_name_gets_one(tmp_path: Path) -> None:
    python = environment(tmp_path / "jürgen")
    subprocess.run([python, "-c", LINK, str(tmp_path / "linked")], check=True, timeout=60)
    # The stub's Python cannot read names that are not ASCII, of its own library to begin with.
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PATH": os.defpath}
    command = [tmp_path / "linked/bin/python3", "-c", ASK]
    prefix, base_prefix, path = json.loads(subprocess.check_output(command, env=ascii_only, timeout=60))
    assert prefix == str(tmp_path / "linked")
    assert all(map(str.isascii, (base_prefix, *path)))


def test_elsewhere_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, "/usr")
    monkeypatch.setattr(sys, "path", ["/usr/lib"])
    assert not ascii_python.is_needed()
    monkeypatch.setattr(sys, "path", ["/usr/lib", "/home/jürgen"])
    assert ascii_python.is_needed()

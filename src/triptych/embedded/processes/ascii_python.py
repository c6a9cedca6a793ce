"""An environment with an ASCII name that stands for this one, where this one has none.

Triton's stub starts a Python whose file names are ASCII: it finds neither itself nor a package below "/home/jürgen".
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_LIST_PATHS = "import json, sys; print(json.dumps(sys.path))"


def is_needed() -> bool:
    """Whether this Python or any place that it takes packages from has a name that is not ASCII."""
    return not all(map(str.isascii, (sys.prefix, sys.base_prefix, *sys.path)))


def link_environment(folder: Path) -> None:
    """Makes a virtual environment of links, with the packages of this one."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base, packages = folder / "base", folder / "lib" / version / "site-packages"
    for made in (folder / "bin", folder / "packages", packages):
        made.mkdir(parents=True)
    base.symlink_to(sys.base_prefix)
    (folder / "bin/python3").symlink_to(base / "bin" / version)
    (folder / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\n")
    links = {folder / "packages" / str(number): place for number, place in enumerate(_places())}
    for link, place in links.items():
        link.symlink_to(place)
    (packages / "links.pth").write_text("".join(f"{link}\n" for link in links))


def _places() -> list[Path]:
    """The folders of packages, as an isolated Python sees them; its own library it finds by itself."""
    asked = subprocess.run([sys.executable, "-I", "-c", _LIST_PATHS], capture_output=True, check=True)
    own = Path(os.__file__).parent
    places = [Path(place) for place in json.loads(asked.stdout)]
    return [place for place in places if place.is_dir() and place not in (own, own / "lib-dynload")]

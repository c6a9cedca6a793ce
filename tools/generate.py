"""Writes what is derived: gRPC stubs from `protos/`, Triton's model repository from the tensor contract.

python tools/generate.py           write
python tools/generate.py --check   fail if what is committed is stale
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUBS = Path("src/triptych/v1")
REPOSITORY = Path("triton_repo")


def write_stubs(target: Path) -> None:
    """Runs protoc on every proto; the Python package path mirrors the proto path, so no import is patched."""
    from grpc_tools import protoc

    sources = sorted((ROOT / "protos").rglob("*.proto"))
    out = target / "src"
    out.mkdir(parents=True, exist_ok=True)
    arguments = [
        "protoc",
        f"-I{ROOT / 'protos'}",
        f"-I{resources.files('grpc_tools') / '_proto'}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        *map(str, sources),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    (target / STUBS / "__init__.py").write_text('"""Generated from protos/triptych/v1; see tools/generate.py."""\n')


def write_repository(target: Path) -> None:
    """Renders `config.pbtxt` and `1/model.py` of every model in the contract."""
    from triptych.contract import MODELS
    from triptych.contract.repository import config_pbtxt, model_shim

    for model in MODELS.values():
        folder = target / REPOSITORY / model.name
        (folder / "1").mkdir(parents=True, exist_ok=True)
        (folder / "config.pbtxt").write_text(config_pbtxt(model))
        (folder / "1" / "model.py").write_text(model_shim(model))


def stale(fresh: Path) -> list[str]:
    """The derived files, relative to the root, that differ from a fresh rendering or should not be there."""
    names: set[Path] = set()
    for folder in (STUBS, REPOSITORY):
        for root in (fresh, ROOT):
            names |= {p.relative_to(root) for p in (root / folder).rglob("*") if p.is_file() and p.suffix != ".pyc"}

    def content(root: Path, name: Path) -> bytes | None:
        return (root / name).read_bytes() if (root / name).is_file() else None

    return sorted(str(name) for name in names if content(fresh, name) != content(ROOT, name))


def main() -> int:
    """Writes, or with --check compares; exit code 1 when something is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) if check else ROOT
        write_stubs(target)
        write_repository(target)
        names = stale(target) if check else []
    for name in names:
        sys.stderr.write(f"stale: {name} (run `make generate`)\n")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())

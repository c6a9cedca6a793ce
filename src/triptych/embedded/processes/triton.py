"""Finds Triton Inference Server, NVIDIA's pip wheel or an install, and makes it run this Python.

triton = find_triton()
triton.command(triton.prepare(folder), ports, shm_prefix); triton.environment(folder)
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from triptych.contract.installation import check_python
from triptych.embedded.processes import ascii_python
from triptych.embedded.processes.process import ProcessSpec
from triptych.errors import FailedPreconditionError

OVERRIDE = "TRIPTYCH_TRITONSERVER"  # an install's root, or its tritonserver binary
INSTALL_ROOT = Path("/opt/tritonserver")
STUB = "triton_python_backend_stub"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LIBPYTHON = f"libpython{PYTHON}.so.1.0"
EXIT_TIMEOUT_S = 10
# A load can wait for an export for minutes, and the call that ends that is a load too.
LOAD_THREADS = 32


@dataclass(frozen=True)
class Triton:
    """Where the parts of one Triton are."""

    binary: Path
    python_backend: Path  # the folder of libtriton_python.so
    stub: Path  # hosts our models; built for one Python version
    libraries: Path

    def prepare(self, folder: Path) -> None:
        """Links together what a server needs: the backend with its stub, libpython, an empty repository.

        Everything that its Python looks for has a name in the folder or is ASCII by itself, and so must the folder be.
        """
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("backends/python", "lib", "models"):
            (folder / name).mkdir(parents=True)
        for file in self.python_backend.iterdir():
            if file.name != STUB and file.is_file():
                (folder / "backends/python" / file.name).symlink_to(file)
        (folder / "backends/python" / STUB).symlink_to(self.stub)
        # Linked by itself: LIBDIR may hold other libraries (conda's libstdc++), which Triton must not get.
        (folder / "lib" / LIBPYTHON).symlink_to(find_libpython())
        if ascii_python.is_needed():
            ascii_python.link_environment(folder / "python")

    def environment(self, folder: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
        """`base` with the library path, and with this Python first on PATH.

        The embedded interpreter ignores PYTHONPATH; it takes its packages from the environment of the first
        `python3` on PATH. So the venv's own folder goes there, not what its `python3` links to.
        """
        libraries = [str(self.libraries), str(folder / "lib"), base.get("LD_LIBRARY_PATH", "")]
        linked = folder / "python/bin"
        path = [str(linked if linked.exists() else python_folder()), base.get("PATH", os.defpath)]
        return {
            # numpy's threads spin for 0.1 s of a core in each model's process when they begin, and after every product.
            "OPENBLAS_THREAD_TIMEOUT": "4",
            **base,
            "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
            "PATH": ":".join(path),
        }

    def command(
        self, folder: Path, grpc_port: int, metrics_port: int, shm_prefix: str, host: str = "127.0.0.1"
    ) -> tuple[str, ...]:
        """A server on loopback unless told otherwise: who reaches Triton's model control can make it run any code."""
        has_gpu = Path("/dev/nvidiactl").exists()
        gpu = [] if has_gpu else ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
        return (
            str(self.binary),
            f"--model-repository={folder / 'models'}",
            f"--backend-directory={folder / 'backends'}",
            "--model-control-mode=explicit",
            "--disable-auto-complete-config",
            "--allow-http=false",
            f"--grpc-address={host}",
            f"--grpc-port={grpc_port}",
            f"--metrics-address={host}",
            f"--metrics-port={metrics_port}",
            f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
            f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
            f"--model-load-thread-count={LOAD_THREADS}",
            "--log-format=ISO8601",
            *gpu,
        )


def as_triton(spec: ProcessSpec) -> ProcessSpec:
    """The specification of a process that is a Triton server."""
    return replace(
        spec,
        stop_grace_s=EXIT_TIMEOUT_S + 5.0,
        # Triton removes its shared memory on SIGTERM, and could not on SIGKILL.
        death_signal=signal.SIGTERM,
        # A model whose process died during a call stays in Triton 2.51 for good, for nobody releases what would have
        # made the answers. Its process stays unreaped, and at the end Triton waits for that model in vain.
        loses_children=True,
    )


def find_triton() -> Triton:
    """The Triton named by TRIPTYCH_TRITONSERVER, else the pip wheel's, else the one in /opt/tritonserver."""
    check_python("the server")
    override = os.environ.get(OVERRIDE)
    triton = _install(Path(override)) if override else _wheel() or _install(INSTALL_ROOT)
    for path in (triton.binary, triton.stub, triton.python_backend / "libtriton_python.so"):
        if not path.exists():
            raise FailedPreconditionError(
                f"no Triton Inference Server: {path} does not exist; install it with "
                f"`pip install 'triptych[server]'`, or set {OVERRIDE} to the folder of an install"
            )
    built_for = re.search(rb"libpython(3\.\d+)\.so", triton.stub.read_bytes())
    if built_for and built_for[1].decode() != PYTHON:
        raise FailedPreconditionError(
            f"Triton's {triton.stub} is built for Python {built_for[1].decode()}, but this is Python {PYTHON}"
        )
    return triton


def _wheel() -> Triton | None:
    """The one in `nvidia-pytriton`, which must not be imported: it changes the process that does."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    return Triton(
        binary=package / "tritonserver/bin/tritonserver",
        python_backend=package / "tritonserver/backends/python",
        stub=package / "tritonserver/python_backend_stubs" / PYTHON / STUB,
        libraries=package.parent / "nvidia_pytriton.libs",
    )


def _install(root: Path) -> Triton:
    if root.is_file():
        root = root.parent.parent
    backend = root / "backends/python"
    return Triton(root / "bin/tritonserver", backend, backend / STUB, root / "lib")


def find_libpython() -> Path:
    """The shared library of this Python version, its own build first."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
    own = [sysconfig.get_config_var("LIBDIR") or "/usr/lib", f"{sys.base_prefix}/lib"]
    system = [f"/usr/lib/{multiarch}", f"/lib/{multiarch}", "/usr/local/lib", "/usr/lib64", "/usr/lib"]
    for folder in (*own, *system):
        if (Path(folder) / LIBPYTHON).exists():
            return Path(folder) / LIBPYTHON
    raise FailedPreconditionError(
        f"Triton's Python backend needs {LIBPYTHON}, and it is in none of {', '.join(own + system)}; "
        f"on Debian and Ubuntu: apt-get install libpython{PYTHON}"
    )


def python_folder() -> Path:
    """The folder of this interpreter, after a check that Triton will find this same Python in it."""
    folder = Path(sys.executable).parent
    if (folder / "python3").resolve() != Path(sys.executable).resolve():
        raise FailedPreconditionError(
            f"Triton would run {folder / 'python3'}, not {sys.executable}; use a virtual environment"
        )
    return folder

"""A model for a Triton server of a test's own: it says where its process runs, and needs no checkpoint."""

from __future__ import annotations

import json

import numpy as np
import tritonclient.grpc as triton

MODEL = b"""
import os, sys
import numpy as np
import triton_python_backend_utils as pb_utils
import triptych

class TritonPythonModel:
    def execute(self, requests):
        said = np.array([sys.prefix.encode(), os.environ["TRIPTYCH_STAGE"].encode()], dtype=np.object_)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("said", said)]) for _ in requests]
"""
CONFIG = json.dumps(
    {
        "name": "echo",
        "backend": "python",
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [1]}],
        "output": [{"name": "said", "data_type": "TYPE_STRING", "dims": [2]}],
        "instance_group": [{"kind": "KIND_CPU"}],
    }
)


def load(client: triton.InferenceServerClient) -> None:
    """Loads it, after it was unloaded if it was there."""
    client.unload_model("echo")
    client.load_model("echo", config=CONFIG, files={"file:1/model.py": MODEL})


def ask(client: triton.InferenceServerClient) -> list[str]:
    """The prefix of its Python, and its stage."""
    request = triton.InferInput("x", [1], "FP32")
    request.set_data_from_numpy(np.zeros(1, np.float32))
    said = client.infer("echo", [request]).as_numpy("said")
    assert said is not None
    return [item.decode() for item in said]

"""A model in Triton's Python backend: gathers the requests of a batch, runs them at once, answers each its part.

Triton's batcher looks at shapes alone, so that one batch may want several LoRA sets: it is run in one group for each.
A stage derives from StageModel and says only how its tensors are prepared, run and finished.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from triptych._version import __version__
from triptych.cache_folders import cache_folder
from triptych.checkpoint import Checkpoint, Component
from triptych.checkpoint.identity.fingerprint import Fingerprint
from triptych.checkpoint.reading import open_in_time
from triptych.contract import ABOUT, ABOUT_INPUT, LORA_MODELS, NO_LORAS, REPORT, WRAPPING, ModelSpec, Report
from triptych.contract.carried import carry
from triptych.contract.engines import DEFAULT_ENGINE, default_precision
from triptych.contract.paths import path_from_text
from triptych.contract.processor import processor_kind
from triptych.contract.wrapping import AXES
from triptych.engine import Engine, EngineSettings, load_engine
from triptych.engine.kept import concatenated
from triptych.engine.port import Array
from triptych.engine.weights import map_files
from triptych.errors import CheckpointInvalidError, TriptychError, invalid
from triptych.logs import setup_logging
from triptych.stage.lora_sets import BASE, LoraSets, MergedSet

logger = logging.getLogger("triptych.stage")

NOT_FINITE = "not_finite"
# Latents of a warm-up on a CPU: every weight meets a number that is not padding, and little is done with it. Of 2 x 2
# one is left further down, and torch refuses to norm groups of one channel, as narrow models have them, of one number.
_ON_CPU = (2, 4)

# One request's tensors, every one with the request's samples as its first dimension.
Batch = dict[str, Array]


class StageModel(ABC):
    """Derived classes are what `triton_repo/<model>/1/model.py` hands to Triton as TritonPythonModel."""

    spec: ClassVar[ModelSpec]
    engine: Engine
    component: Component
    device: str
    engine_name: str
    settings: EngineSettings
    fingerprint: Fingerprint | None = None
    lora_sets: LoraSets | None = None
    _claimed: Path | None = None

    def initialize(self, args: Mapping[str, str]) -> None:
        """Triton calls this at load; `parameters` of the model's configuration name the checkpoint and the engine."""
        import triton_python_backend_utils as triton

        # A line takes a third of a millisecond after an engine's run, and an answer must not wait for it.
        setup_logging(os.environ.get("TRIPTYCH_STAGE", self.spec.stage), in_thread=True)
        self._claim(Path(args.get("model_repository", "")))
        self._triton: Any = triton
        self.name = args["model_name"]
        parameters = {k: v["string_value"] for k, v in json.loads(args["model_config"])["parameters"].items()}
        began = time.perf_counter()
        try:
            engine = chosen_engine(parameters)
            path, variant = path_from_text(parameters["checkpoint"]), parameters.get("variant", "")
            told = parameters.get("fingerprint")
            fingerprint = Fingerprint.from_text(told) if told else None
            vae, image_encoder = (_path(parameters.get(name, "")) for name in ("vae", "image_encoder"))
            self.open(path, engine, engine_settings(), variant, fingerprint, vae, image_encoder)
            if fingerprint:
                fingerprint.check()  # once more: all was read by now, and of one version
        except TriptychError as error:
            # Triton passes on the text of an exception and nothing else of it.
            raise triton.TritonModelException(carry(error)) from error
        seconds = time.perf_counter() - began
        logger.info("model loaded", extra={"model": self.name, "engine": engine, "seconds": round(seconds, 3)})

    def open(
        self,
        path: Path,
        engine: str,
        settings: EngineSettings,
        variant: str = "",
        fingerprint: Fingerprint | None = None,
        vae: Path | None = None,
        image_encoder: Path | None = None,
    ) -> None:
        """Loads this stage's part of a checkpoint and runs it once, so that readiness means warm.

        `vae` is another VAE than the checkpoint's own, `image_encoder` that of an IP-Adapter which has none beside it.
        CheckpointChangedError where it is not what the orchestrator opened, by its `fingerprint`.
        """
        checkpoint = open_in_time(path, variant, vae, [self.spec.name], image_encoder=image_encoder)
        if fingerprint:
            fingerprint.check(checkpoint.source.states)
        self.component, self.device = checkpoint.components[self.spec.name], settings.device
        self.engine_name, self.settings, self.fingerprint = engine, settings, fingerprint
        maps = map_files(self.component)
        self.engine = load_engine(engine, self.component, settings)
        if not_finite(self.engine.infer(self.warm_up_inputs(checkpoint))).any():
            raise self._unsound(settings.precision)
        if self.spec.name in LORA_MODELS:
            # Beside steps on a GPU its cores are idle; on a CPU they are not.
            mergers = 1 if settings.device == "cpu" else settings.threads
            self.lora_sets = LoraSets(self.engine, self.component, maps, lora_cache_bytes(), mergers)

    def _unsound(self, precision: str) -> CheckpointInvalidError:
        place = self.component.place
        problem = f"its {self.component.architecture.class_name} computes NaN or infinite numbers"
        remedy = f"the weights are damaged, or too large for {precision}"
        return CheckpointInvalidError(f"{place}: {problem}: {remedy}", file=str(place))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Triton calls this with the requests of one dynamic batch; one response for each, in order."""
        responses: list[Any] = [None] * len(requests)
        ready: list[tuple[int, MergedSet, Batch]] = []
        for index, request in enumerate(requests):
            try:
                batch = self._read(request)
                if ABOUT_INPUT.name in batch:
                    responses[index] = self._tell()
                    continue
                loras = batch.pop("lora_key", None), batch.pop("loras", None)
                wrapping = _wrapping(batch.pop(WRAPPING.name, None))
                # What the request brings is kept first: while its LoRAs are prepared it need not bring it again.
                prepared = self.prepare(batch)
                ready.append((index, self._require_loras(*loras), prepared | wrapping))
            except TriptychError as error:
                responses[index] = self._error(error)
            except Exception as error:  # of any class; the other requests are not to blame
                responses[index] = self._error(self._unforeseen(error, "request failed", _ids([request])))
        for merged_set, group in _groups(ready, self.lora_sets.active_key if self.lora_sets else NO_LORAS):
            ids = _ids([requests[index] for index, _ in group])
            try:
                self._run_group(merged_set, group, ids, responses)
            except TriptychError as error:  # the engine says what it cannot do
                logger.warning("batch refused: %s", error.message, extra={"model": self.name, "request_ids": ids})
                for index, _ in group:
                    responses[index] = self._error(error)
            except Exception as error:  # an engine's own, of any class; the other groups are not to blame
                failure = self._unforeseen(error, "batch failed", ids)
                for index, _ in group:
                    responses[index] = self._error(failure)
        return responses

    def about(self) -> dict[str, str | int]:
        """What the same weights and inputs give the same numbers by."""
        settings = self.settings.suiting(self.component)
        return {
            "triptych": __version__,
            "engine": self.engine_name,
            "device": settings.device.partition(":")[0],
            "precision": settings.precision,
            "threads": settings.threads,
            "processor": processor_kind(),
            **self.engine.about(),
        }

    def finalize(self) -> None:
        """Triton calls this at unload; the stub's process ends afterwards and takes the engine with it."""
        if self.lora_sets:
            self.lora_sets.close()
        self.engine.close()
        if self._claimed:
            self._claimed.unlink(missing_ok=True)
        logger.info("model unloaded", extra={"model": self.name})

    def prepare(self, batch: Batch) -> Batch:
        """One request's inputs as the engine wants them; a TriptychError answers this request alone."""
        return batch

    @abstractmethod
    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One sample: whatever the engine, one that it takes."""

    def warm_up_size(self) -> tuple[int, int]:
        """Height and width of latents to be warm for.

        On a GPU the checkpoint's own, for kernels are chosen, and memory is taken, by size. A CPU's engine is as warm
        after the smallest sample, and sooner.
        """
        height, width = self.component.latent_size
        return (height, width) if self.device != "cpu" else (min(height, _ON_CPU[0]), min(width, _ON_CPU[1]))

    @abstractmethod
    def run(self, batch: Batch) -> Batch:
        """The merged batch through the engine, as the contract's outputs.

        Where those hide it, with NOT_FINITE too: for each sample whether the engine's own were so.
        """

    def infer(self, batch: Batch) -> Batch:
        """What the engine makes of the batch, its convolutions wrapping around as the samples ask."""
        inputs, axes = axes_of(batch)
        return self.engine.infer_wrapped(inputs, axes) if axes else self.engine.infer(inputs)

    def _claim(self, folder: Path) -> None:
        """Keeps a link to what Triton made in /tmp for this model where this process's temporary files are.

        A Triton that is killed leaves its folder; whoever removes the temporary files afterwards removes that too.
        """
        link = Path(tempfile.gettempdir()) / folder.name
        if folder.parent == Path("/tmp") != link.parent:
            link.symlink_to(folder)
            self._claimed = link

    def _require_loras(self, keys: Array | None, content: Array | None) -> MergedSet:
        """The request's LoRA set; see LoraSets.require."""
        if self.lora_sets is None or keys is None:
            return BASE
        if (keys != keys[0]).any():
            raise invalid("lora_key", "must be the same for all samples of a request")
        return self.lora_sets.require(keys[0].tobytes(), None if content is None else bytes(content.flat[0]))

    def _run_group(
        self, merged_set: MergedSet, group: Sequence[tuple[int, Batch]], ids: list[str], responses: list[Any]
    ) -> None:
        merged = group[0][1]
        if len(group) > 1:
            merged = {name: concatenated([batch[name] for _, batch in group]) for name in merged}
        refit_seconds = self.lora_sets.activate(merged_set) if self.lora_sets else 0.0
        began = time.perf_counter()
        outputs = self.run(merged)
        unsound = outputs.pop(NOT_FINITE) if NOT_FINITE in outputs else not_finite(outputs)
        report = Report(time.perf_counter() - began, len(next(iter(merged.values()))), refit_seconds)
        self._answer(group, outputs, report, unsound, responses)
        rounded = {name: round(value, 6) for name, value in report._asdict().items()}
        logger.info("batch", extra={"model": self.name, "request_ids": ids, **rounded})

    def _read(self, request: Any) -> Batch:
        tensors = ((spec.name, self._triton.get_input_tensor_by_name(request, spec.name)) for spec in self.spec.inputs)
        return {name: tensor.as_numpy() for name, tensor in tensors if tensor is not None}

    def _answer(
        self,
        group: Sequence[tuple[int, Batch]],
        outputs: Batch,
        report: Report,
        unsound: Array,
        responses: list[Any],
    ) -> None:
        start = 0
        for index, batch in group:
            count = len(next(iter(batch.values())))
            part = {name: array[start : start + count] for name, array in outputs.items()}
            part[REPORT.name] = np.tile(np.array(report, np.float32), (count, 1))
            part[REPORT.name][:, Report._fields.index(NOT_FINITE)] = unsound[start : start + count]
            tensors = [self._triton.Tensor(name, np.ascontiguousarray(array)) for name, array in part.items()]
            responses[index] = self._triton.InferenceResponse(tensors)
            start += count

    def _tell(self) -> Any:
        text = np.array([[json.dumps(self.about(), sort_keys=True).encode()]], np.object_)
        return self._triton.InferenceResponse([self._triton.Tensor(ABOUT.name, text)])

    def _unforeseen(self, error: Exception, message: str, ids: list[str]) -> TriptychError:
        """Logged whole, for the caller learns its class and text alone."""
        logger.error(message, exc_info=error, extra={"model": self.name, "request_ids": ids})
        return TriptychError(f"{self.name}: {type(error).__name__}: {error}")

    def _error(self, error: TriptychError) -> Any:
        code = getattr(self._triton.TritonError, _TRITON_CODES.get(error.grpc_status, "INTERNAL"))
        return self._triton.InferenceResponse(error=self._triton.TritonError(carry(error), code))


def axes_of(batch: Batch) -> tuple[Batch, str]:
    """What goes into an engine, and along which axes its convolutions wrap around, as the samples ask."""
    inputs = dict(batch)
    wrapping = inputs.pop(WRAPPING.name, None)
    return inputs, "" if wrapping is None else AXES[int(wrapping.item(0))]


def not_finite(outputs: Batch) -> Array:
    """For each sample whether any number in it is NaN or infinite."""
    flags = [~np.isfinite(array).reshape(len(array), -1).all(axis=1) for array in outputs.values()]
    unsound: Array = np.stack(flags).any(axis=0)
    return unsound


def _wrapping(places: Array | None) -> Batch:
    """Kept where any axis is named; the samples of a request name the same."""
    if places is None or not places.any():
        return {}
    if places.min() != places.max() or places.max() >= len(AXES):
        raise invalid(WRAPPING.name, f"must be one number below {len(AXES)}, the same for all samples of a request")
    return {WRAPPING.name: places}


def _ids(requests: Sequence[Any]) -> list[str]:
    """Those of all requests whose samples the orchestrator put into these."""
    return [name for request in requests for name in request.request_id().split(",")]


_TRITON_CODES = {"NOT_FOUND": "NOT_FOUND", "INVALID_ARGUMENT": "INVALID_ARG", "UNAVAILABLE": "UNAVAILABLE"}


def chosen_engine(parameters: Mapping[str, str]) -> str:
    """The engine of the checkpoint's registration, or else this replica's own, or else the orchestrator's default.

    The replica's own is TRIPTYCH_ENGINE; a load's parameters are `engine`, "" where the registration left it open,
    and `default_engine`.
    """
    own = os.environ.get("TRIPTYCH_ENGINE")
    return parameters["engine"] or own or parameters.get("default_engine") or DEFAULT_ENGINE


def _path(text: str) -> Path | None:
    """Of a parameter that may be empty."""
    return path_from_text(text) if text else None


def engine_settings() -> EngineSettings:
    """What this replica's environment says, whichever engine it gets.

    TRIPTYCH_THREADS (default: all cores this process may use), TRIPTYCH_CACHE_DIR, TRIPTYCH_DEVICE (default: cpu),
    TRIPTYCH_PRECISION (default: fp16 on a GPU, fp32 on a CPU).
    """
    threads = int(os.environ.get("TRIPTYCH_THREADS") or len(os.sched_getaffinity(0)))
    device = os.environ.get("TRIPTYCH_DEVICE") or "cpu"
    precision = os.environ.get("TRIPTYCH_PRECISION") or default_precision(device)
    return EngineSettings(threads, cache_folder(), device, precision)


def lora_cache_bytes() -> int:
    """From TRIPTYCH_LORA_CACHE_BYTES: merged weights that one model may hold beyond those it runs with."""
    return int(os.environ.get("TRIPTYCH_LORA_CACHE_BYTES") or 4 * 1024**3)


def _groups(
    batches: Sequence[tuple[int, MergedSet, Batch]], active_key: bytes
) -> list[tuple[MergedSet, list[tuple[int, Batch]]]]:
    """Gathers what one engine call can take: one LoRA set, one wrapping, equal shapes; the active set first."""
    groups: dict[tuple[bytes, bytes, object], tuple[MergedSet, list[tuple[int, Batch]]]] = {}
    for index, merged_set, batch in batches:
        shapes = tuple((name, array.shape[1:]) for name, array in sorted(batch.items()))
        wrapping = batch[WRAPPING.name][:1].tobytes() if WRAPPING.name in batch else b""
        groups.setdefault((merged_set.key, wrapping, shapes), (merged_set, []))[1].append((index, batch))
    return sorted(groups.values(), key=lambda group: group[0].key != active_key)

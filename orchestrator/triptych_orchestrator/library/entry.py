"""One registered checkpoint: what is open of it, in which state it is, and which models the stages should hold."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from triptych.checkpoint import Architecture, Checkpoint, Prediction, TextPart
from triptych.checkpoint.families.preprocessors import misnamed
from triptych.checkpoint.identity.about import About, about
from triptych.checkpoint.identity.digests import Digests
from triptych.checkpoint.identity.fingerprint import Fingerprint
from triptych.checkpoint.sources.prediction import check_known
from triptych.contract import MODELS, PREPROCESSOR, model_name
from triptych.contract.engines import DEFAULT_ENGINE, parse_engines
from triptych.contract.paths import told_path
from triptych.errors import CheckpointInvalidError, invalid
from triptych_orchestrator.library.registered import Registered
from triptych_orchestrator.sampling.schedulers import own_scheduler
from triptych_orchestrator.stages.pool import PlacedModel
from triptych_orchestrator.text.shared_tokenizers import shared_tokenizer
from triptych_orchestrator.text.tokenizer import Tokenizer

logger = logging.getLogger("triptych.catalog")

# Where one alone runs a model, nobody has to say so.
_ONLY_ENGINES = {PREPROCESSOR.name: "onnxruntime"}


class State(Enum):
    """Values are those of the API's CheckpointState, without its prefix."""

    REGISTERED = "REGISTERED"
    LOADING = "LOADING"
    LOADED = "LOADED"
    UNLOADING = "UNLOADING"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Opened:
    """What was read of a checkpoint's files; see Entry."""

    checkpoint: Checkpoint
    fingerprint: Fingerprint
    about: About
    tokenizers: tuple[Tokenizer, ...]
    scheduler: str
    warning: str


@dataclass(eq=False)
class Entry:
    """One checkpoint with its engines; `checkpoint` is None, and `tokenizers` empty, only where a kept one is broken.

    `prediction_type` is what it was registered with, "" where the checkpoint tells; `vae` and `image_encoder` are paths
    of others than its own, "" for its own. `tokenizers` are in the order of the family's texts. `scheduler` is the
    checkpoint's own, or "" where requests must name one, and `warning` says why they must. `engine` is what it was
    registered with, see `parse_engines`: "" leaves the choice to each replica, and to `default_engine` where a replica
    makes none. `variant` is diffusers'. `lock` and `name` it has in common with its twin: the same checkpoint with
    other engines, of another variant or with another VAE, say, whose models can be loaded beside its own. `is_new`
    until its first load has succeeded, where it is not to be registered otherwise. `held` are the models that the
    stages hold while it is loaded; `placing` is for changing them, while `lock` may wait for its users. Caches know it
    by its `number`: itself as the key, they would keep its tokenizers. `aside` is the engine of one that is on another
    than its name is registered with, for requests that ask for it.
    """

    name: str
    path: Path
    engine: str
    default_engine: str = DEFAULT_ENGINE
    variant: str = ""
    checkpoint: Checkpoint | None = None
    fingerprint: Fingerprint | None = None
    about: About | None = None
    tokenizers: tuple[Tokenizer, ...] = ()
    scheduler: str = ""
    warning: str = ""
    state: State = State.REGISTERED
    error: str = ""
    users: int = 0
    loads: int = 0
    held: set[str] = field(default_factory=set)
    placing: asyncio.Lock = field(default_factory=asyncio.Lock)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    is_twin: bool = False
    aside: str = ""
    is_transient: bool = False  # the next run shall not know it
    is_new: bool = False
    is_leaving: bool = False  # nor shall it, once it is unregistered
    prediction_type: str = ""
    vae: str = ""
    image_encoder: str = ""
    hashing: asyncio.Future[Digests] | None = None
    hurry_hash: Callable[[], None] = lambda: None
    number: int = field(default_factory=itertools.count().__next__)

    @property
    def draws(self) -> bool:
        """Whether a request can be for it, as far as is known."""
        return self.checkpoint is None or self.checkpoint.family.draws

    @property
    def opened(self) -> Checkpoint:
        """The checkpoint of an entry in use, which is open."""
        if self.checkpoint is None:
            raise RuntimeError(f"checkpoint {self.name} is in use but not open")
        return self.checkpoint

    def check_purpose(self, wanted: str) -> None:
        """InvalidArgumentError where one that was read is for something else; "" wants nothing.

        Also where the file of a preprocessor is to have the name of none.
        """
        if self.opened.family.prepares:
            self._check_name(self.opened.components[PREPROCESSOR.name].architecture)
        if wanted and (purpose := about(self.opened).purpose) != wanted:
            problem = f"{self.path} is {self.opened.family.title}, for {purpose} and not for {wanted}"
            raise invalid("path", f"{problem}; add it by `triptych checkpoints add`")

    def _check_name(self, architecture: Architecture) -> None:
        if problem := misnamed(self.name, architecture):
            raise invalid("name", problem)

    @classmethod
    def of(cls, name: str, path: Path, told: Registered, default_engine: str, **more: Any) -> Entry:
        """One that is not open yet, made as was told."""
        return cls(name, path, default_engine=default_engine, **asdict(told), **more)

    @property
    def registered(self) -> Registered:
        """What it was registered with."""
        return Registered(**{each.name: getattr(self, each.name) for each in fields(Registered)})

    @property
    def paths(self) -> tuple[Path, ...]:
        """What it is read from."""
        return (self.path, *(Path(each) for each in (self.vae, self.image_encoder) if each))

    def twin(self, told: Registered) -> Entry:
        """The same checkpoint, nothing of it open or loaded, made as was told."""
        same = {"lock": self.lock, "aside": self.aside}
        return Entry.of(self.name, self.path, told, self.default_engine, is_twin=not self.is_twin, **same)

    def open(self) -> None:
        """Reads and takes it, where nobody else has the entry."""
        self.take(self.read())

    def read(self, wanted: Collection[str] = ()) -> Opened:
        """Reads and checks the checkpoint whole: components, weights' headers, tokenizers, scheduler.

        `wanted` are the contract's models that it may lack elsewhere; see `Checkpoint.open`.

        The entry stays as it is: a thread that nobody waits for any more may end after a later one.
        """
        vae, encoder = (Path(each) if each else None for each in (self.vae, self.image_encoder))
        read = Checkpoint.open(self.path, self.variant, vae, wanted, encoder)
        checkpoint = as_registered(read, self.prediction_type)
        scheduler, warning = own_scheduler(checkpoint.scheduler_config) if checkpoint.family.draws else ("", "")
        if warning:
            logger.warning("no default scheduler", extra={"checkpoint": self.name, "error": warning})
        tokenizers = tuple(_tokenizer(checkpoint, part) for part in checkpoint.family.texts)
        fingerprint = checkpoint.fingerprint()
        fingerprint.check()  # lest parts of two versions were read
        return Opened(checkpoint, fingerprint, about(checkpoint), tokenizers, scheduler, warning)

    def take(self, opened: Opened) -> None:
        """What was read is what the entry is from now on; for who holds `lock`."""
        if self.fingerprint != opened.fingerprint:
            self.hashing = None
        for each in fields(opened):
            setattr(self, each.name, getattr(opened, each.name))

    @property
    def known_sha256(self) -> str:
        """Of its weights; "" until it is computed."""
        hashing = self.hashing
        is_known = hashing and hashing.done() and not hashing.cancelled() and not hashing.exception()
        return hashing.result().weights if hashing and is_known else ""

    async def digests(self) -> Digests | None:
        """Waits for them where they are being computed; None where they are not. Their error, where they cannot be."""
        self.hurry_hash()
        return await asyncio.shield(self.hashing) if self.hashing else None

    def models(self) -> dict[str, PlacedModel]:
        """What the stages may hold for this checkpoint, by the contract's model names; of one not open, all there are.

        So whatever an earlier run left of it is found.
        """
        present = self.checkpoint.family.parts if self.checkpoint else MODELS
        engines = parse_engines(self.engine)
        # No checkpoint can have a name with "~" in it.
        name = self.name + (f"~{self.aside}" if self.aside else "") + ("~" if self.is_twin else "")
        common = {
            "checkpoint": told_path("path", self.path),
            "variant": self.variant,
            "vae": told_path("vae", self.vae) if self.vae else "",
            "image_encoder": told_path("image_encoder", self.image_encoder) if self.image_encoder else "",
            "fingerprint": self.fingerprint.text() if self.fingerprint else "",
            "default_engine": self.default_engine,
        }
        return {
            spec.name: PlacedModel(
                model_name(name, spec),
                spec,
                common | {"engine": engines[spec.stage] or _ONLY_ENGINES.get(spec.name, "")},
            )
            for spec in MODELS.values()
            if spec.name in present
        }

    def models_to_load(self) -> list[PlacedModel]:
        """What the stages should hold of an open checkpoint while it is loaded, whoever asks for what."""
        parts = self.checkpoint.family.parts if self.checkpoint else {}
        return [model for name, model in self.models().items() if name in parts and not parts[name].on_demand]


def as_registered(checkpoint: Checkpoint, prediction_type: str) -> Checkpoint:
    """With that for its prediction; "": with what its files tell, which must be known then."""
    prediction = Prediction(prediction_type, "its registration") if prediction_type else checkpoint.own_prediction
    check_known(checkpoint.source.path, prediction)
    return checkpoint if prediction == checkpoint.prediction else checkpoint.predicting(prediction)


def _tokenizer(checkpoint: Checkpoint, part: TextPart) -> Tokenizer:
    """One text's tokenizer, which its encoder must have an embedding for all ids of, and as many places."""
    source = checkpoint.source
    tokenizer = shared_tokenizer(part.tokenizer, functools.partial(source.tokenizer_file, part.tokenizer))
    encoder = checkpoint.components[part.model]
    tokenizer.check_vocabulary(encoder.architecture.config["vocab_size"], str(encoder.file))
    if tokenizer.max_length != checkpoint.tokens:
        file = str(source.place(part.tokenizer) / "tokenizer_config.json")
        problem = f"model_max_length is {tokenizer.max_length}, but the text encoder takes {checkpoint.tokens}"
        raise CheckpointInvalidError(f"{file}: {problem} tokens", file=file)
    return tokenizer

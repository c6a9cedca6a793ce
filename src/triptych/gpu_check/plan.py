"""In which order things are measured, so that whatever stops a check has left the most valuable part.

A visit starts one side of one model, alone on the GPUs, and measures some rows there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triptych.gpu_check.settings import Settings
from triptych.gpu_check.sides import SIDES, Side


@dataclass(frozen=True)
class Row:
    """One thing to be measured; `kind` is one of `measures.MEASURES`."""

    model: str
    side: Side
    kind: str
    edge: int

    @property
    def id(self) -> str:
        """As the page's data name it."""
        return f"{self.model}/{self.side.name}/{self.kind}/{self.edge}"


@dataclass(frozen=True)
class Visit:
    """Rows of one side of one model."""

    model: str
    side: Side
    rows: Sequence[Row]


def first_visits(settings: Settings) -> Iterator[Visit]:
    """The first model at its first size, on every side."""
    yield from _visits(settings, settings.models[0], settings.edges[:1], more=True)


def further_visits(settings: Settings) -> Iterator[Visit]:
    """The first model at the other sizes, then the other models whole."""
    lead, *others = settings.models
    yield from _visits(settings, lead, settings.edges[1:], more=False)
    for model in others:
        yield from _visits(settings, model, settings.edges, more=True)


def _visits(settings: Settings, model: str, edges: Sequence[int], *, more: bool) -> Iterator[Visit]:
    for side in SIDES:
        rows: list[Row] = []
        for edge in edges:
            if edge == settings.edges[0] or not side.first_edge_only:
                rows.append(Row(model, side, "picture", edge))
            if more and edge == settings.edges[0]:
                rows += [Row(model, side, kind, edge) for kind in side.more]
        wanted = [row for row in rows if all(word in row.id.split("/") or word == row.id for word in settings.only)]
        if wanted:
            yield Visit(model, side, wanted)

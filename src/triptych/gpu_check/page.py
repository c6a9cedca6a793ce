"""The page that a check writes, made of its record alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from triptych.gpu_check.sides import SIDES

_TITLES = {side.name: side.title for side in SIDES}
_EAGER = "diffusers"
_INTRODUCTION = """\
# On a GPU

Written by `triptych gpu-check` (`make gpu-check` in a clone) from what it measured; the same as data lies beside it.
Every checkpoint has random weights in its real size, for speed and memory do not depend on training. A side runs alone
on the GPUs, and in half precision. Seconds are of a whole request, prompt to picture, guidance 7.5: the median, and in
brackets the least and the greatest. Triptych's hold its servers, its solver and a PNG; diffusers' end at a PIL image,
and of the compiled pipeline the UNet is compiled (`reduce-overhead`, each size by itself). Memory is what was used on
all GPUs together at most while pictures were made, less what was used before the side was started: everybody's
processes count, and each of Triptych's stages has a CUDA context of its own, some hundred megabytes. How to run it, and
what for: benchmarks.md.
"""

_Cells = Sequence[str]
_Key = tuple[str, ...]


def render(record: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [_INTRODUCTION, _runs(record), *_pictures(record), _more(record), _missing(record), _tests(record)]
    return "\n".join(part for part in parts if part)


def _runs(record: Mapping[str, Any]) -> str:
    header = ("run", "when", "GPUs", "driver", "torch, CUDA", "TensorRT", "diffusers", "Triptych", "pictures")
    rows = [_run(run) for run in record["runs"]]
    hosts = sorted({run["machine"]["processor"] for run in record["runs"]})
    notes = [f"- run {run['number']}: {note}" for run in record["runs"] for note in run["notes"]]
    return "\n".join(["## Runs", "", *_table(header, rows), "", f"Beside the GPUs: {'; '.join(hosts)}.", *notes, ""])


def _run(run: Mapping[str, Any]) -> _Cells:
    machine, setting = run["machine"], run["setting"]
    torch = ", ".join(filter(None, (machine["torch"], machine["cuda"])))
    where = machine["gpus"] or f"none; {', '.join(machine['devices'])}"
    pictures = f"{setting['steps']} steps, {setting['rounds']} times"
    found = (where, machine["driver"], torch, machine["tensorrt"], machine["diffusers"], machine["triptych"])
    return (str(run["number"]), run["began"], *(text or "none" for text in found), pictures)


def _pictures(record: Mapping[str, Any]) -> Iterator[str]:
    rows = {tuple(name.split("/")): entry for name, entry in record["rows"].items() if entry["status"] == "measured"}
    pictures = {key: entry for key, entry in rows.items() if key[2] == "picture"}
    header = (
        "size", "side", "seconds", "of eager", "a step in the engine", "peak memory",
        "with a LoRA", "with a ControlNet", "run",
    )  # fmt: skip
    for model in dict.fromkeys(key[0] for key in pictures):
        own = sorted((key for key in pictures if key[0] == model), key=lambda key: (int(key[3]), _place(key[1])))
        cells = [_picture(record, rows, key) for key in own]
        yield "\n".join([f"## Pictures, {model}", "", *_table(header, cells), ""])


def _picture(record: Mapping[str, Any], rows: Mapping[_Key, Mapping[str, Any]], key: _Key) -> _Cells:
    entry, eager = rows[key], rows.get(_of(key, side=_EAGER))
    figures = entry["figures"]
    engine = figures.get("engine_step_seconds")
    lora, control = (_beside(record, entry, rows.get(_of(key, kind=kind))) for kind in ("lora", "control"))
    more = _ratio(record, control, rows.get(_of(key, side=_EAGER, kind="control"))) if control else ""
    return (
        f"{key[3]}x{key[3]}",
        _TITLES.get(key[1], key[1]),
        f"{figures['seconds']:.3f} ({figures['least']:.3f} to {figures['greatest']:.3f})",
        _ratio(record, entry, eager),
        f"{1000 * engine:.1f} ms" if engine else "",
        f"{figures['peak_bytes'] / 1e9:.2f} GB",
        _told_beside(lora),
        ", ".join(filter(None, (_told_beside(control), f"{more} of eager" if more else ""))),
        str(entry["run"]),
    )


def _beside(
    record: Mapping[str, Any], entry: Mapping[str, Any], other: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    return other if other is not None and _comparable(record, entry["run"], other["run"]) else None


def _told_beside(entry: Mapping[str, Any] | None) -> str:
    return f"{entry['figures']['seconds']:.3f}, {entry['figures']['peak_bytes'] / 1e9:.2f} GB" if entry else ""


def _more(record: Mapping[str, Any]) -> str:
    cells = [
        cell for name, entry in record["rows"].items() if entry["status"] == "measured" for cell in _told(name, entry)
    ]
    cells += _refittable(record)
    if not cells:
        return ""
    return "\n".join(
        ["## Beside pictures", "", *_table(("model", "side", "size", "what", "figures", "run"), cells), ""]
    )


def _told(name: str, entry: Mapping[str, Any]) -> Iterator[_Cells]:
    model, side, kind, edge = name.split("/")
    figures = entry["figures"]
    texts = {
        "start": ("until ready", "{seconds:.1f} s, builds among it where there were none"),
        "eight": (
            "eight requests at once, in a row",
            "{at_once_seconds:.2f} s, {in_a_row_seconds:.2f} s; {batch_samples:.1f} samples in a batch",
        ),
        "swap": (
            "longer for another LoRA set: new, kept, none",
            "{new_more_seconds:.3f} s, {kept_more_seconds:.3f} s, {base_more_seconds:.3f} s; of it in the engines "
            "{new_refit_seconds:.3f} s, {kept_refit_seconds:.3f} s, {base_refit_seconds:.3f} s",
        ),
        "switch": (
            "another checkpoint: loading, first picture, those that follow",
            "{loading_seconds:.2f} s, {first_seconds:.3f} s, {following_seconds:.3f} s",
        ),
    }
    if kind in texts:
        what, figures_text = texts[kind]
        size = f"{edge}x{edge}" if edge != "0" else ""
        yield model, _TITLES.get(side, side), size, what, figures_text.format(**figures), str(entry["run"])


def _refittable(record: Mapping[str, Any]) -> Iterator[_Cells]:
    """A step with weights open to LoRA over one of an engine that has none."""
    for name, plain in record["rows"].items():
        model, side, kind, edge = name.split("/")
        refittable = record["rows"].get(f"{model}/tensorrt/{kind}/{edge}")
        if side == "tensorrt-plain" and kind == "picture" and _both_measured(refittable, plain):
            ratio = _ratio(record, refittable, plain, "engine_step_seconds")
            yield model, "TensorRT", f"{edge}x{edge}", "a step, refittable over plain", ratio, str(plain["run"])


def _ratio(
    record: Mapping[str, Any], one: Mapping[str, Any], other: Mapping[str, Any] | None, figure: str = "seconds"
) -> str:
    """Empty where the other is missing, or was taken on another machine or with other versions."""
    if not _both_measured(one, other) or other is None or not _comparable(record, one["run"], other["run"]):
        return ""
    return f"{one['figures'][figure] / other['figures'][figure]:.2f}" if other["figures"].get(figure) else ""


def _both_measured(*entries: Mapping[str, Any] | None) -> bool:
    return all(entry is not None and entry["status"] == "measured" for entry in entries)


def _comparable(record: Mapping[str, Any], one: int, other: int) -> bool:
    runs = {run["number"]: (run["machine"], run["setting"]["steps"]) for run in record["runs"]}
    return bool(runs[one] == runs[other])


def _missing(record: Mapping[str, Any]) -> str:
    """Rows that have the same reason together, those among them that failed since they were measured."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for name, latest in record["rows"].items():
        entry = latest.get("failed", latest)
        if entry["status"] != "measured":
            reasons.setdefault((entry["status"], entry["why"], str(entry["run"])), []).append(name)
    rows = [(", ".join(names), *reason) for reason, names in reasons.items()]
    return "\n".join(["## Not measured", "", *_table(("rows", "", "why", "run"), rows), ""]) if rows else ""


def _tests(record: Mapping[str, Any]) -> str:
    tests: Mapping[str, Mapping[str, Any]] = record["tests"]
    if not tests:
        return ""
    outcomes = [entry["outcome"] for entry in tests.values()]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(sorted(outcomes)))
    bad = [f"- {name}: {e['outcome']} (run {e['run']})" for name, e in tests.items() if e["outcome"] not in _SOUND]
    return "\n".join(["## Tests that need a GPU", "", f"{counts}.", *bad, ""])


_SOUND = ("passed", "skipped", "xfail")


def _of(key: _Key, *, side: str = "", kind: str = "") -> _Key:
    """A row's name that differs in these."""
    return (key[0], side or key[1], kind or key[2], key[3])


def _place(side: str) -> int:
    return list(_TITLES).index(side) if side in _TITLES else len(_TITLES)


def _table(header: _Cells, rows: Iterable[_Cells]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in line) + " |" for line in lines]

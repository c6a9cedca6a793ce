"""A call's pictures laid in the operator's folder, where it wants them there, and the grid that then goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triptych_gateway.a1111.drawing.grids import grid
from triptych_gateway.a1111.drawing.info import Picture
from triptych_gateway.a1111.drawing.parameters import Asked
from triptych_gateway.a1111.drawing.requests import Common
from triptych_gateway.a1111.options import Options
from triptych_gateway.a1111.saving import Folder, named
from triptych_gateway.settings import Settings


@dataclass(frozen=True)
class Keeping:
    """One call's; its folders are there before anything is drawn."""

    request: Common
    options: Options
    settings: Settings
    samples: Folder | None
    grids: Folder | None

    @classmethod
    def of(cls, request: Common, options: Options, settings: Settings, kind: str) -> Keeping:
        """`kind` is "txt2img", say; FailedPreconditionError where nothing can be saved."""
        root = settings.a1111.outputs_dir or settings.state_dir / "outputs"
        samples = Folder(root, f"{kind}-images") if request.save_images and options.samples_save else None
        grids = Folder(root, f"{kind}-grids") if request.save_images and options.grid_save else None
        return cls(request, options, settings, samples, grids)

    def keep(self, asked: Asked, pictures: Sequence[Picture]) -> bytes | None:
        """Saves what is to be saved; the grid, where it is to be answered."""
        if self.samples:
            for picture in pictures:
                self.samples.save(picture.file, _ending(self.options), self._name(asked, picture))
        if not self.request.save_images or not pictures:
            return None
        if len(pictures) == 1 and self.options.grid_only_if_multiple:
            return None
        if not (self.grids or self.options.return_grid):
            return None
        made = grid([picture.file for picture in pictures], pictures[0].infotext)
        if self.grids:
            self.grids.save(made, "png", head="grid-", digits=4)
        return made if self.options.return_grid else None

    def _name(self, asked: Asked, picture: Picture) -> str:
        request = self.request
        values: dict[str, object] = {
            "seed": asked.seeds[picture.index],
            "steps": request.steps,
            "cfg": request.cfg_scale,
            "sampler": asked.sampler,
            "width": request.width,
            "height": request.height,
            "model_name": asked.checkpoint.name,
            "prompt": request.prompt,
        }
        return named(self.settings.a1111.outputs_pattern, values)


def _ending(options: Options) -> str:
    return "jpg" if options.samples_format == "jpeg" else options.samples_format

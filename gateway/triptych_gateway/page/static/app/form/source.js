// @ts-check
/** The image that a request begins with: chosen, dropped, pasted or taken from the gallery; with its mask and borders. */

import { button, freshId, h } from "../base/dom.js";
import { signal } from "../base/signal.js";
import { takeFiles } from "../base/taking.js";
import { blankCanvas, openPainter } from "../painter/painter.js";
import { anySide, SIDES } from "../painter/sides.js";
import { draw, sizeOf } from "../painter/view.js";

/**
 * @typedef {object} Source
 * @property {Blob} file
 * @property {string} name
 * @property {string} picture the id of a picture that the server has; else empty
 * @property {import("../painter/painter.js").Canvas | undefined} canvas undefined where the browser cannot read the file
 * @property {number} masked the share of it that is painted
 */

/** @type {import("../base/signal.js").Signal<Source | undefined>} */
export const source = signal(/** @type {Source | undefined} */ (undefined));

/**
 * @param {Blob} file
 * @param {string} name
 * @param {string} [picture]
 */
export async function takeSource(file, name, picture = "") {
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  source.set({ file, name, picture, canvas: bitmap && blankCanvas(bitmap), masked: 0 });
}

/** Lets the mask be painted. */
export function paint() {
  const work = source.get();
  if (!work?.canvas) return;
  const { canvas } = work;
  openPainter(canvas, () => source.set({ ...work, masked: canvas.mask.share() }));
}

/**
 * What a request says of it, and the files that go along.
 *
 * @returns {Promise<{ fields: Record<string, unknown>, files: { image?: Blob, mask_image?: Blob } }>}
 */
export async function readSource() {
  const work = source.get();
  if (!work) return { fields: {}, files: {} };
  const expand = work.canvas && anySide(work.canvas.sides) ? SIDES.map((side) => work.canvas?.sides[side]) : undefined;
  const fields = { ...(work.picture && { image: `picture:${work.picture}` }), ...(expand && { expand }) };
  const mask = work.canvas && work.masked > 0 ? { mask_image: await work.canvas.mask.file() } : {};
  return { fields, files: { ...(!work.picture && { image: work.file }), ...mask } };
}

/** @param {HTMLElement} place */
export function showSource(place) {
  const input = h("input", { id: freshId(), type: "file", accept: "image/*", class: "visually-hidden" });
  const choose = h("label", { class: "drop", htmlFor: input.id }, h("span", {}, "Choose, drop or paste an image"));
  const chosen = h("div", { class: "chosen", hidden: true });
  place.append(input, choose, chosen);
  takeFiles(place, input, ([file]) => void takeSource(file, file.name)); // the first place: what is pasted anywhere is for it
  source.watch((work) => {
    input.hidden = choose.hidden = !!work;
    chosen.hidden = !work;
    chosen.replaceChildren(...(work ? describe(work) : []));
  });
}

/** @param {Source} work */
function describe(work) {
  const { canvas } = work;
  const size = canvas ? `${canvas.picture.width} × ${canvas.picture.height}` : "cannot be shown here";
  const masked = work.masked > 0 && `${Math.max(1, Math.round(work.masked * 100))}% masked`;
  const borders = canvas && anySide(canvas.sides) && SIDES.filter((side) => canvas.sides[side]).map((side) => `${canvas.sides[side]} ${side}`).join(", ");
  const facts = [size, masked, borders && `new borders: ${borders}`].filter(Boolean).join("; ");
  const edit = button("Mask and borders", paint, { icon: "brush", disabled: !canvas });
  const remove = button("Remove", () => source.set(undefined), { icon: "close", class: "quiet" });
  const text = h("div", {}, h("p", { class: "name" }, work.name), h("p", { class: "help" }, facts), h("div", { class: "row" }, edit, remove));
  return [thumbnail(work), text];
}

/** @param {Source} work */
function thumbnail({ canvas }) {
  const view = h("canvas", { class: "thumbnail", role: "img", "aria-label": "The image, its mask coloured" });
  if (canvas) Object.assign(view, sizeOf(canvas)); // for its shape
  if (canvas) requestAnimationFrame(() => draw(view, { ...canvas, brush: undefined }));
  return view;
}

// @ts-check
/** The dialog in which a mask is painted and new borders are drawn out. */

import { notify } from "../base/announce.js";
import { openDialog } from "../base/dialog.js";
import { button, freshId, h } from "../base/dom.js";
import { paintWith } from "./brush.js";
import { Mask } from "./mask.js";
import { makeHandles, makeSideFields, noSides } from "./sides.js";
import { draw, sizeOf } from "./view.js";

/** @typedef {{ picture: ImageBitmap, mask: Mask, sides: import("./sides.js").Sides }} Canvas what is painted on */

/**
 * @param {ImageBitmap} picture
 * @returns {Canvas}
 */
export function blankCanvas(picture) {
  return { picture, mask: new Mask(picture.width, picture.height), sides: noSides() };
}

/**
 * @param {Canvas} work changed in place
 * @param {() => void} onclose
 */
export function openPainter(work, onclose) {
  const brush = { size: Math.max(4, Math.round(Math.max(work.picture.width, work.picture.height) / 10)), erases: false, at: undefined };
  const stage = makeStage(work, brush, () => tools.show());
  const tools = makeTools(work, brush, stage.redraw);
  const help = h("p", { class: "help", id: "painter-help" },
    "Paint what is to be drawn anew; drag the edges outwards for new borders. ",
    h("span", { class: "keys" }, "Keys: arrows move the brush, Space lowers and lifts it, Shift makes small steps."));
  const done = button("Done", () => dialog.close(), { class: "primary", icon: "check" });
  const content = [tools.element, stage.element, stage.fields, help, h("div", { class: "row end" }, done)];
  const dialog = openDialog("Mask and borders", content, { class: "painter", onclose: () => (stage.stop(), onclose()) });
  dialog.addEventListener("keydown", (event) => tools.key(event));
  stage.fit();
}

/**
 * @param {Canvas} work
 * @param {import("./brush.js").Brush} brush
 * @param {() => void} changed
 */
function makeStage(work, brush, changed) {
  const canvas = h("canvas", { tabIndex: 0, role: "application", "aria-label": "Mask painter" });
  canvas.setAttribute("aria-describedby", "painter-help");
  const frame = h("div", { class: "frame" }, canvas);
  const room = h("div", { class: "room" }, frame);
  let scale = 1;
  let isHeld = false;
  const fit = () => {
    const { width, height } = sizeOf(work);
    if (!isHeld) scale = Math.min((room.clientWidth - 64) / width, (room.clientHeight - 64) / height);
    frame.style.width = `${width * scale}px`;
    frame.style.height = `${height * scale}px`;
    redraw();
  };
  let isDue = false;
  const redraw = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw(canvas, { ...work, brush: brush.at && { ...brush.at, size: brush.size } });
      changed();
    });
  };
  const setSides = (/** @type {import("./sides.js").Sides} */ sides) => {
    work.sides = sides;
    show();
    fit();
  };
  const handles = makeHandles(() => work.sides, setSides, () => scale, (held) => {
    isHeld = held;
    if (!held) fit();
  });
  const fields = makeSideFields(() => work.sides, setSides);
  const show = () => {
    fields.show(work.sides);
    handles.forEach((handle, index) => handle.setAttribute("aria-valuenow", String(Object.values(work.sides)[index])));
  };
  frame.append(...handles);
  show();
  paintWith(canvas, brush, work.mask, () => work.sides, redraw);
  const watcher = new ResizeObserver(fit);
  watcher.observe(room);
  return { element: room, fields: fields.element, redraw, fit, stop: () => watcher.disconnect() };
}

/**
 * @param {Canvas} work
 * @param {import("./brush.js").Brush} brush
 * @param {() => void} redraw
 */
function makeTools(work, brush, redraw) {
  const { mask } = work;
  const act = (/** @type {() => void} */ action) => () => (action(), redraw());
  const paint = button("Brush", act(() => (brush.erases = false)), { icon: "brush" });
  const erase = button("Eraser", act(() => (brush.erases = true)), { icon: "eraser" });
  const undo = button("Undo", act(() => mask.undo()), { icon: "undo" });
  const redo = button("Redo", act(() => mask.redo()), { icon: "redo" });
  const clear = button("Clear", act(() => mask.add({ kind: "clear" })), { icon: "delete" });
  const largest = Math.max(8, Math.max(work.picture.width, work.picture.height));
  const id = freshId();
  const size = h("input", { id, type: "range", min: 1, max: largest / 2, value: String(brush.size) });
  size.addEventListener("input", act(() => (brush.size = Number(size.value))));
  const slider = h("div", { class: "row brush-size" }, h("label", { htmlFor: id }, "Size"), size);
  const show = () => {
    paint.setAttribute("aria-pressed", String(!brush.erases));
    erase.setAttribute("aria-pressed", String(brush.erases));
    undo.disabled = clear.disabled = !mask.canUndo;
    redo.disabled = !mask.canRedo;
  };
  show();
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    act(() => (event.shiftKey ? mask.redo() : mask.undo()))();
  };
  const tools = [paint, erase, slider, undo, redo, clear, makeLoad(mask, redraw)];
  return { element: h("div", { class: "row tools", role: "toolbar", "aria-label": "Tools" }, tools), show, key };
}

/**
 * Takes a mask from a file.
 *
 * @param {Mask} mask
 * @param {() => void} redraw
 */
function makeLoad(mask, redraw) {
  const input = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Mask file" });
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    try {
      mask.add({ kind: "picture", picture: await createImageBitmap(file) });
      redraw();
    } catch {
      notify(`${file.name} is no picture that this browser can read.`, "error");
    }
  });
  return h("span", {}, button("Load a mask", () => input.click(), { icon: "open" }), input);
}

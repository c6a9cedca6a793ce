// @ts-check
/** How many pixels a picture gets on each side, and the handles and fields that say so. */

import { freshId, h } from "../base/dom.js";

/** @typedef {"left" | "top" | "right" | "bottom"} Side */
/** @typedef {Record<Side, number>} Sides */

/** @type {Side[]} in the API's order */
export const SIDES = ["left", "top", "right", "bottom"];

const KEY_STEP = 8;

/** @type {Record<string, [Side, number][]>} */
const KEYS = {
  ArrowLeft: [["left", 1], ["right", -1]],
  ArrowRight: [["left", -1], ["right", 1]],
  ArrowUp: [["top", 1], ["bottom", -1]],
  ArrowDown: [["top", -1], ["bottom", 1]],
};

/** @returns {Sides} */
export function noSides() {
  return { left: 0, top: 0, right: 0, bottom: 0 };
}

/** @param {Sides} sides */
export function anySide(sides) {
  return SIDES.some((side) => sides[side] > 0);
}

/**
 * Handles at the edges of the canvas: they are dragged, or moved by the arrow keys.
 *
 * @param {() => Sides} get
 * @param {(sides: Sides) => void} set
 * @param {() => number} scale how many pixels of the screen one of the picture has
 * @param {(isDragging: boolean) => void} hold
 */
export function makeHandles(get, set, scale, hold) {
  return SIDES.map((side) => {
    const name = `New border ${side}`;
    const handle = h("div", { class: `handle ${side}`, role: "slider", tabIndex: 0, "aria-label": name, title: name });
    handle.setAttribute("aria-valuemin", "0");
    handle.setAttribute("aria-orientation", side === "left" || side === "right" ? "horizontal" : "vertical");
    handle.addEventListener("pointerdown", (event) => drag(event, handle, side, get, set, scale(), hold));
    handle.addEventListener("keydown", (event) => {
      const direction = KEYS[event.key]?.find(([of]) => of === side)?.[1];
      if (!direction) return;
      event.preventDefault();
      set(moved(get(), side, direction * KEY_STEP));
    });
    return handle;
  });
}

/**
 * @param {PointerEvent} start
 * @param {HTMLElement} handle
 * @param {Side} side
 * @param {() => Sides} get
 * @param {(sides: Sides) => void} set
 * @param {number} scale
 * @param {(isDragging: boolean) => void} hold
 */
function drag(start, handle, side, get, set, scale, hold) {
  start.preventDefault();
  handle.focus();
  handle.setPointerCapture(start.pointerId);
  const before = get();
  hold(true);
  const move = (/** @type {PointerEvent} */ event) => {
    const [x, y] = [(event.clientX - start.clientX) / scale, (event.clientY - start.clientY) / scale];
    set(moved(before, side, { left: -x, right: x, top: -y, bottom: y }[side]));
  };
  const end = () => {
    handle.removeEventListener("pointermove", move);
    hold(false);
  };
  handle.addEventListener("pointermove", move);
  handle.addEventListener("lostpointercapture", end, { once: true });
}

/** @type {(sides: Sides, side: Side, by: number) => Sides} */
function moved(sides, side, by) {
  return { ...sides, [side]: Math.max(0, Math.round(sides[side] + by)) };
}

/**
 * The same as numbers.
 *
 * @param {() => Sides} get
 * @param {(sides: Sides) => void} set
 */
export function makeSideFields(get, set) {
  const inputs = SIDES.map((side) => {
    const input = h("input", { id: freshId(), type: "number", min: 0, step: 8, inputMode: "numeric", value: "0" });
    input.addEventListener("change", () => set({ ...get(), [side]: Math.max(0, Math.round(Number(input.value))) }));
    return input;
  });
  const fields = SIDES.map((side, index) => h("label", { class: "side" }, h("span", {}, side), inputs[index]));
  return {
    element: h("fieldset", { class: "sides" }, h("legend", {}, "New borders, in pixels"), fields),
    show: (/** @type {Sides} */ sides) => SIDES.forEach((side, index) => (inputs[index].value = String(sides[side]))),
  };
}

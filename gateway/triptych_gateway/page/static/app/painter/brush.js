// @ts-check
/** The brush: pointers of any kind paint, and so do the arrow keys. */

/**
 * @typedef {object} Brush
 * @property {number} size
 * @property {boolean} erases
 * @property {import("./mask.js").Point | undefined} at
 */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Brush} brush
 * @param {import("./mask.js").Mask} mask
 * @param {() => import("./sides.js").Sides} sides
 * @param {() => void} changed
 */
export function paintWith(canvas, brush, mask, sides, changed) {
  /** @param {PointerEvent} event */
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const { left, top, right } = sides();
    const scale = (left + mask.canvas.width + right) / box.width;
    return { x: (event.clientX - box.left) * scale - left, y: (event.clientY - box.top) * scale - top };
  };
  /** @type {number | undefined} */
  let pointer;
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== undefined || event.button !== 0) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    brush.at = place(event);
    mask.add(lineAt(brush));
    changed();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (pointer !== undefined && event.pointerId !== pointer) return; // a second finger
    const events = event.getCoalescedEvents?.() ?? [];
    if (pointer !== undefined) for (const each of events.length ? events : [event]) mask.extend(place(each));
    brush.at = place(event);
    changed();
  });
  canvas.addEventListener("lostpointercapture", () => (pointer = undefined));
  canvas.addEventListener("pointerleave", () => {
    if (pointer === undefined) brush.at = undefined;
    changed();
  });
  paintByKeys(canvas, brush, mask, changed);
}

/**
 * @param {Brush} brush
 * @returns {import("./mask.js").Line}
 */
function lineAt({ size, erases, at }) {
  return { kind: "line", size, erases, points: at ? [at] : [] };
}

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Space lowers the brush and lifts it again; arrows move it, by single pixels with Shift.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Brush} brush
 * @param {import("./mask.js").Mask} mask
 * @param {() => void} changed
 */
function paintByKeys(canvas, brush, mask, changed) {
  let isDown = false;
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    brush.at ??= { x: mask.canvas.width / 2, y: mask.canvas.height / 2 };
    if (arrow) brush.at = step(brush.at, arrow, event.shiftKey ? 1 : Math.max(1, brush.size / 4));
    else isDown = !isDown;
    if (event.key === " " && isDown) mask.add(lineAt(brush));
    else if (isDown) mask.extend(brush.at);
    changed();
  });
  canvas.addEventListener("blur", () => (isDown = false));
}

/** @type {(from: import("./mask.js").Point, direction: [number, number], by: number) => import("./mask.js").Point} */
function step({ x, y }, [across, down], by) {
  return { x: x + across * by, y: y + down * by };
}

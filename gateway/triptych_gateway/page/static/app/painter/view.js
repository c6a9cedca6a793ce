// @ts-check
/** The canvas: the picture with its new borders, the mask over it, and the brush. */

import { SIDES } from "./sides.js";

const HATCH = 12;

/**
 * @typedef {object} Shown
 * @property {ImageBitmap} picture
 * @property {import("./mask.js").Mask} mask
 * @property {import("./sides.js").Sides} sides
 * @property {{ x: number, y: number, size: number } | undefined} brush
 */

/**
 * How large it is with its new borders.
 *
 * @param {Pick<Shown, "picture" | "sides">} shown
 */
export function sizeOf({ picture, sides }) {
  return { width: picture.width + sides.left + sides.right, height: picture.height + sides.top + sides.bottom };
}

/**
 * Draws all of it anew, as fine as the screen is.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Shown} shown
 */
export function draw(canvas, { picture, mask, sides, brush }) {
  const { width, height } = sizeOf({ picture, sides });
  const scale = (canvas.clientWidth * devicePixelRatio) / width || 1;
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const accent = getComputedStyle(canvas).getPropertyValue("color");
  pen.scale(scale, scale);
  if (SIDES.some((side) => sides[side])) hatch(pen, width, height, accent);
  pen.drawImage(picture, sides.left, sides.top);
  pen.globalAlpha = 0.6;
  pen.drawImage(tinted(mask.canvas, accent), sides.left, sides.top);
  pen.globalAlpha = 1;
  if (brush) ring(pen, brush.x + sides.left, brush.y + sides.top, brush.size / 2, devicePixelRatio / scale);
}

/** @type {(pen: CanvasRenderingContext2D, width: number, height: number, colour: string) => void} */
function hatch(pen, width, height, colour) {
  const gap = Math.max(4, Math.round((HATCH * Math.max(width, height)) / 600));
  pen.strokeStyle = colour;
  pen.lineWidth = gap / 4;
  pen.globalAlpha = 0.6;
  pen.beginPath();
  for (let x = -height; x < width; x += gap) {
    pen.moveTo(x, height);
    pen.lineTo(x + height, 0);
  }
  pen.stroke();
  pen.globalAlpha = 1;
}

/** @type {HTMLCanvasElement | undefined} */
let sheet;

/** @type {(mask: HTMLCanvasElement, colour: string) => HTMLCanvasElement} */
function tinted(mask, colour) {
  sheet ??= document.createElement("canvas");
  Object.assign(sheet, { width: mask.width, height: mask.height });
  const pen = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
  pen.drawImage(mask, 0, 0);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = colour;
  pen.fillRect(0, 0, mask.width, mask.height);
  return sheet;
}

/** @type {(pen: CanvasRenderingContext2D, x: number, y: number, radius: number, line: number) => void} */
function ring(pen, x, y, radius, line) {
  for (const [colour, width] of /** @type {[string, number][]} */ ([["black", 3], ["white", 1.5]])) {
    pen.strokeStyle = colour;
    pen.lineWidth = width * line;
    pen.beginPath();
    pen.arc(x, y, Math.max(radius, line), 0, 2 * Math.PI);
    pen.stroke();
  }
}

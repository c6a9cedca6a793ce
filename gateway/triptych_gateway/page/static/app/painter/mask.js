// @ts-check
/** A mask as a list of strokes over a picture of some size, so that each can be undone; white on nothing. */

/**
 * @typedef {{ x: number, y: number }} Point pixels of the picture
 * @typedef {{ kind: "line", size: number, erases: boolean, points: Point[] }} Line
 * @typedef {Line | { kind: "clear" } | { kind: "picture", picture: ImageBitmap }} Stroke
 */

const DOT = 0.01;

export class Mask {
  /** @type {Stroke[]} */
  #strokes = [];
  /** @type {Stroke[]} */
  #undone = [];

  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.canvas = Object.assign(document.createElement("canvas"), { width, height });
    this.pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { willReadFrequently: true }));
    this.pen.lineCap = this.pen.lineJoin = "round";
    this.pen.strokeStyle = "white";
  }

  get canUndo() {
    return this.#strokes.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** @param {Stroke} stroke */
  add(stroke) {
    this.#strokes.push(stroke);
    this.#undone = [];
    this.#draw(stroke);
  }

  /**
   * Goes on with the latest line.
   *
   * @param {Point} point
   */
  extend(point) {
    const line = this.#strokes.at(-1);
    if (line?.kind !== "line") return;
    line.points.push(point);
    this.#draw({ ...line, points: line.points.slice(-2) });
  }

  undo() {
    const stroke = this.#strokes.pop();
    if (!stroke) return;
    this.#undone.push(stroke);
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const each of this.#strokes) this.#draw(each);
  }

  redo() {
    const stroke = this.#undone.pop();
    if (!stroke) return;
    this.#strokes.push(stroke);
    this.#draw(stroke);
  }

  /** The share of the picture that is painted, from 0 to 1. */
  share() {
    const { data } = this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height);
    let painted = 0;
    for (let index = 3; index < data.length; index += 4) if (data[index] > 127) painted += 1;
    return (painted * 4) / data.length;
  }

  /**
   * As the server takes it: white on black.
   *
   * @returns {Promise<Blob>}
   */
  file() {
    const { width, height } = this.canvas;
    const sheet = Object.assign(document.createElement("canvas"), { width, height });
    const pen = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
    pen.fillRect(0, 0, width, height);
    pen.drawImage(this.canvas, 0, 0);
    return new Promise((resolve, reject) =>
      sheet.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser made no picture of the mask")))),
    );
  }

  /** @param {Stroke} stroke */
  #draw(stroke) {
    const { width, height } = this.canvas;
    if (stroke.kind === "clear") this.pen.clearRect(0, 0, width, height);
    else if (stroke.kind === "picture") this.#lay(stroke.picture);
    else this.#line(stroke);
  }

  /** @param {Line} line */
  #line({ size, erases, points }) {
    this.pen.globalCompositeOperation = erases ? "destination-out" : "source-over";
    this.pen.lineWidth = size;
    this.pen.beginPath();
    this.pen.moveTo(points[0].x, points[0].y);
    // A line to where it is already leaves no dot, one a little further does.
    for (const { x, y } of points) this.pen.lineTo(x + DOT, y);
    this.pen.stroke();
    this.pen.globalCompositeOperation = "source-over";
  }

  /**
   * A mask from a file: what is light in it is painted.
   *
   * @param {ImageBitmap} picture
   */
  #lay(picture) {
    const { width, height } = this.canvas;
    this.pen.clearRect(0, 0, width, height);
    this.pen.drawImage(picture, 0, 0, width, height);
    const pixels = this.pen.getImageData(0, 0, width, height);
    const { data } = pixels;
    for (let index = 0; index < data.length; index += 4) {
      const isLight = data[index] + data[index + 1] + data[index + 2] > 381 && data[index + 3] > 127;
      data.fill(255, index, index + 3);
      data[index + 3] = isLight ? 255 : 0;
    }
    this.pen.putImageData(pixels, 0, 0);
  }
}

// @ts-check
/** What chooses the pictures that a model looks at: files, the image that the request begins with, or one of the gallery. */

import { button, freshId, h } from "../base/dom.js";
import { takeFiles } from "../base/taking.js";
import { ROOT } from "../server/api.js";
import { source } from "./source.js";

/**
 * @typedef {object} Chosen
 * @property {string} name
 * @property {Blob | undefined} file undefined where the server has it
 * @property {string} reference "picture:ID" where the server has it; else empty
 */

/**
 * @param {HTMLElement} place where files are dropped
 * @param {string} of whose the pictures are
 * @param {(chosen: Chosen[]) => void} take
 * @param {{ several?: boolean }} [options]
 */
export function makeChoosing(place, of, take, { several = false } = {}) {
  const input = h("input", { id: freshId(), type: "file", accept: "image/*", multiple: several, class: "visually-hidden" });
  const text = h("span");
  const label = h("label", { class: "drop", htmlFor: input.id }, h("span", { class: "visually-hidden" }, `Image of ${of}: `), text);
  const ownText = "Use the image to begin with";
  const takeOwn = () => {
    const work = source.get();
    if (work) take([{ file: work.file, name: work.name, reference: work.picture && `picture:${work.picture}` }]);
  };
  const own = button(ownText, takeOwn, { icon: "image", class: "quiet", label: `${ownText} for ${of}` });
  let isEmpty = true;
  const show = () => {
    own.hidden = !isEmpty || !source.get();
    text.textContent = isEmpty ? `Choose, drop or paste ${several ? "images" : "an image"}` : "Add more";
  };
  const stops = [takeFiles(place, input, (files) => take(files.map(asChosen))), source.watch(show)];
  return {
    input,
    label,
    own,
    /** @param {boolean} isChosen whether anything is */
    tell: (isChosen) => ((isEmpty = !isChosen), show()),
    stop: () => stops.forEach((stop) => stop()),
  };
}

/**
 * @param {File} file
 * @returns {Chosen}
 */
function asChosen(file) {
  return { file, name: file.name, reference: "" };
}

/**
 * What a request told of images, where the server has them all: some of them would be another request.
 *
 * @param {unknown} told
 * @returns {Chosen[]}
 */
export function keptOf(told) {
  const all = [told ?? []].flat().map(String);
  const areKept = all.every((each) => each.startsWith("picture:"));
  return areKept ? all.map((reference) => ({ name: "From the gallery", file: undefined, reference })) : [];
}

/**
 * What is wrong with images, which have no label that a text could go on from.
 *
 * @param {string} text as the server tells it: "controls[0].image: is missing"
 */
export function imageProblem(text) {
  return text.replace(/^[\w.[\]]*\bimages?(\[\d+\])?: /, (_field, place) => (place ? `Image ${parseInt(place.slice(1)) + 1} ` : "The image "));
}

/** @type {(image: HTMLImageElement, chosen: Chosen) => void} */
export function showChosen(image, { file, reference }) {
  const address = file && URL.createObjectURL(file);
  image.src = address ?? `${ROOT}${pathOf(reference)}`;
  const forget = () => address && URL.revokeObjectURL(address);
  for (const end of ["load", "error"]) image.addEventListener(end, forget, { once: true });
}

/** @param {string} reference */
export function pathOf(reference) {
  return `/pictures/${reference.replace("picture:", "")}`;
}

// @ts-check
/** The picture that a ControlNet looks at: chosen, dropped, the request's own, or one of the gallery. */

import { button, freshId, h } from "../base/dom.js";
import { complain } from "../form/fields.js";
import { source, takeDrops } from "../form/source.js";
import { ROOT } from "../server/api.js";

/**
 * @typedef {object} Chosen
 * @property {string} name
 * @property {Blob | undefined} file undefined where the server has it
 * @property {string} reference "picture:ID" where the server has it; else empty
 *
 * @typedef {ReturnType<typeof makePicture>} Picture
 */

/**
 * @param {string} of whose it is
 * @param {() => void} changed
 */
export function makePicture(of, changed) {
  /** @type {Chosen | undefined} */
  let chosen;
  const problem = h("p", { class: "problem", id: freshId(), hidden: true });
  const input = h("input", { id: freshId(), type: "file", accept: "image/*", class: "visually-hidden" });
  input.setAttribute("aria-describedby", problem.id);
  const prompt = h("span", {}, "Choose an image, or drop one here");
  const choose = h("label", { class: "drop", htmlFor: input.id }, h("span", { class: "visually-hidden" }, `Image of ${of}: `), prompt);
  const image = h("img", { class: "thumbnail", alt: `What ${of} looks at` });
  const name = h("p", { class: "name" });
  const remove = button("Remove", () => set(undefined), { icon: "close", class: "quiet", label: `Remove the image of ${of}` });
  const shown = h("div", { class: "chosen", hidden: true }, image, h("div", {}, name, h("div", { class: "row" }, remove)));
  const ownText = "Use the image to begin with";
  const own = button(ownText, () => takeOwn(set), { icon: "image", class: "quiet", label: `${ownText} for ${of}` });
  const element = h("div", { class: "control-picture", "data-field": "image" }, input, choose, shown, own, problem);
  let address = "";
  const set = (/** @type {Chosen | undefined} */ next) => {
    chosen = next;
    if (address) URL.revokeObjectURL(address);
    address = next?.file ? URL.createObjectURL(next.file) : "";
    if (next) image.src = address || `${ROOT}/pictures/${next.reference.replace("picture:", "")}`;
    name.textContent = next?.name ?? "";
    show();
    changed();
  };
  const show = () => {
    input.hidden = choose.hidden = !!chosen;
    shown.hidden = !chosen;
    own.hidden = !!chosen || !source.get();
  };
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) set({ file, name: file.name, reference: "" });
  });
  takeDrops(element, (file) => set({ file, name: file.name, reference: "" }));
  const unwatch = source.watch(show);
  return {
    element,
    get: () => chosen,
    set,
    stop: () => (unwatch(), URL.revokeObjectURL(address)),
    complain: (/** @type {string} */ text) => complain([input], problem, text),
  };
}

/** @param {(chosen: Chosen) => void} set */
function takeOwn(set) {
  const work = source.get();
  if (work) set({ file: work.file, name: work.name, reference: work.picture && `picture:${work.picture}` });
}

// @ts-check
/** The picture that a ControlNet looks at. */

import { button, freshId, h } from "../base/dom.js";
import { imageProblem, makeChoosing, showChosen } from "../form/choosing.js";
import { complain } from "../form/fields.js";

/** @typedef {import("../form/choosing.js").Chosen} Chosen */

/**
 * @param {string} of whose it is
 * @param {() => void} changed
 */
export function makePicture(of, changed) {
  /** @type {Chosen | undefined} */
  let chosen;
  const problem = h("p", { class: "problem", id: freshId(), hidden: true });
  const image = h("img", { class: "thumbnail", alt: `What ${of} looks at` });
  const name = h("p", { class: "name" });
  const remove = button("Remove", () => (set(undefined), tellForm()), { icon: "close", class: "quiet", label: `Remove the image of ${of}` });
  const shown = h("div", { class: "chosen", hidden: true }, image, h("div", {}, name, h("div", { class: "row" }, remove)));
  const element = h("div", { class: "entry-picture", "data-field": "image" });
  const choosing = makeChoosing(element, of, ([first]) => (set(first), tellForm()));
  const { input, label, own } = choosing;
  input.setAttribute("aria-describedby", problem.id);
  element.append(input, label, shown, own, problem);
  const set = (/** @type {Chosen | undefined} */ next) => {
    chosen = next;
    if (next) showChosen(image, next);
    name.textContent = next?.name ?? "";
    input.hidden = label.hidden = !!next;
    shown.hidden = !next;
    choosing.tell(!!next);
    changed();
  };
  const tellForm = () => element.dispatchEvent(new Event("change", { bubbles: true }));
  return {
    element,
    get: () => chosen,
    set,
    stop: choosing.stop,
    complain: (/** @type {string} */ text) => complain([input], problem, imageProblem(text)),
  };
}

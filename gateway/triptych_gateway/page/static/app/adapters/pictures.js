// @ts-check
/** The pictures that an IP-Adapter looks at together, as it frames them: of each the middle square. */

import { button, freshId, h } from "../base/dom.js";
import { imageProblem, keptOf, makeChoosing, pathOf, showChosen } from "../form/choosing.js";
import { complain } from "../form/fields.js";
import { send } from "../server/api.js";

/** @typedef {import("../form/choosing.js").Chosen} Chosen */

/** @param {string} of whose they are */
export function makePictures(of) {
  /** @type {Chosen[]} */
  let all = [];
  const problem = h("p", { class: "problem", id: freshId(), hidden: true });
  const element = h("div", { class: "entry-picture", "data-field": "image" });
  const choosing = makeChoosing(element, of, (more) => (set([...all, ...more]), tellForm()), { several: true });
  const { input, label, own } = choosing;
  input.setAttribute("aria-describedby", problem.id);
  const list = h("ul", { class: "seen" });
  element.append(input, list, own, problem);
  const remove = (/** @type {Chosen} */ chosen) => {
    set(all.filter((each) => each !== chosen));
    input.focus();
    tellForm();
  };
  const set = (/** @type {Chosen[]} */ next) => {
    all = next;
    const tiles = all.map((chosen, index) => makeTile(of, index, chosen, () => remove(chosen)));
    list.replaceChildren(...tiles, h("li", { class: "more" }, label));
    choosing.tell(all.length > 0);
  };
  const tellForm = () => element.dispatchEvent(new Event("change", { bubbles: true }));
  const areKept = () => all.length > 0 && all.every(({ reference }) => reference);
  set([]);
  return {
    element,
    get: () => all,
    add: (/** @type {Chosen[]} */ more) => set([...all, ...more]),
    /** Where the server has them all; a request names pictures of the server, or brings files, never both for one. */
    read: () => (areKept() ? { image: all.length > 1 ? all.map(({ reference }) => reference) : all[0].reference } : {}),
    write: (/** @type {unknown} */ told) => set(keptOf(told)),
    files: async () => (areKept() ? [] : await Promise.all(all.map(fileOf))),
    complain: (/** @type {string} */ text) => complain([input], problem, imageProblem(text)),
    stop: choosing.stop,
  };
}

/** @type {(of: string, index: number, chosen: Chosen, remove: () => void) => HTMLElement} */
function makeTile(of, index, chosen, remove) {
  const image = h("img", { alt: `What ${of} looks at: ${chosen.name}`, title: chosen.name });
  showChosen(image, chosen);
  const text = `Remove image ${index + 1} of ${of}`;
  return h("li", {}, image, button(text, remove, { icon: "close", iconOnly: true }));
}

/** @param {Chosen} chosen */
async function fileOf({ file, reference }) {
  return file ?? (await (await send("GET", pathOf(reference))).blob());
}

// @ts-check
/** The models that guide a request by pictures, its ControlNets and IP-Adapters, folded away while there are none. */

import { makeAdapters } from "../adapters/adapters.js";
import { byId } from "../base/dom.js";
import { makeControls } from "../controls/controls.js";

/** @param {() => Record<string, number>} size what is asked for of the picture's width and height, if anything is */
export function makeGuides(size) {
  const place = /** @type {HTMLDetailsElement} */ (byId("guides"));
  const badge = /** @type {HTMLElement} */ (place.querySelector(".badge"));
  const aside = /** @type {HTMLElement} */ (place.querySelector(".aside"));
  const show = () => {
    const count = all.reduce((sum, each) => sum + (each.read()?.length ?? 0), 0);
    if (count) place.open = true;
    badge.textContent = `${count} set`;
    badge.hidden = !count;
    aside.hidden = !!count;
  };
  const controls = makeControls(size, () => show());
  const adapters = makeAdapters(() => show());
  const all = [controls, adapters];
  byId("guides-place").append(...all.map((each) => each.element));
  show();
  return {
    controls,
    adapters,
    lack: () => all.some((each) => each.lacks()),
    files: async () => Object.assign({}, ...(await Promise.all(all.map((each) => each.files())))),
  };
}

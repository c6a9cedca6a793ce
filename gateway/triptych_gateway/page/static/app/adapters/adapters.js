// @ts-check
/** The IP-Adapters of a request, any number of them: what is drawn is like the pictures that they look at. */

import { h } from "../base/dom.js";
import { makeCard, makeEntries } from "../form/entries.js";
import { makeField, readFields } from "../form/fields.js";
import { isIpAdapter } from "../server/known.js";
import { makePictures } from "./pictures.js";

/** @type {import("../form/parameters.js").Parameter} */
export const SCALE = {
  name: "scale", label: "Weight", kind: "weight", min: 0, max: 10, step: 0.05, otherwise: "1",
  help: "What its share is multiplied by: the less, the more the prompt counts.",
};

/** @param {() => void} changed */
export function makeAdapters(changed) {
  return makeEntries({
    name: "ip_adapters",
    label: "IP-Adapters",
    one: "an IP-Adapter",
    help: "The picture takes after other images.",
    is: isIpAdapter,
    make: makeAdapter,
    several: true,
    changed,
  });
}

/**
 * @param {string} name
 * @param {HTMLElement} close
 * @returns {import("../form/entries.js").Entry}
 */
function makeAdapter(name, close) {
  const scale = makeField(SCALE);
  const pictures = makePictures(name);
  return {
    name,
    element: makeCard(name, close, pictures.element, h("div", { class: "fields" }, scale.element)),
    read: () => ({ name, ...readFields([scale]), ...pictures.read() }),
    write(told) {
      scale.write(told.scale);
      pictures.write(told.image);
    },
    files: pictures.files,
    pictures: pictures.get,
    take: pictures.add,
    complain: (field, text) => (field === "scale" ? scale : pictures).complain(text),
    clear: () => [scale, pictures].forEach((each) => each.complain("")),
    stop: pictures.stop,
  };
}

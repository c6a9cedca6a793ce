// @ts-check
/** Two pictures, side by side or one laid over the other, and in what their requests differ. */

import { openDialog } from "../base/dialog.js";
import { freshId, h } from "../base/dom.js";
import { factsOf } from "./facts.js";
import { attempt } from "./gallery.js";
import { aboutOf, addressOf } from "./pictures.js";

/** @typedef {import("./pictures.js").Picture} Picture */

/** @param {Picture[]} two */
export function openCompare(two) {
  const images = two.map((picture, index) => {
    const name = ["A", "B"][index];
    const image = h("img", { src: addressOf(picture), alt: `${name}: ${picture.prompt}` });
    return h("figure", {}, image, h("figcaption", {}, name));
  });
  const pair = h("div", { class: "compared" }, images);
  const table = h("div", { class: "differences" }, h("p", { class: "help" }, "Looking for differences…"));
  openDialog("Compare", [makeWipe(pair), pair, table], { class: "compare" });
  void attempt(async () => table.replaceChildren(await differences(two)));
}

/**
 * The slider that lays B over A up to a line.
 *
 * @param {HTMLElement} pair
 */
function makeWipe(pair) {
  const slider = h("input", { id: freshId(), type: "range", min: 0, max: 100, value: "50" });
  const over = h("input", { id: freshId(), type: "checkbox", role: "switch", class: "switch" });
  const apply = () => {
    pair.classList.toggle("overlaid", over.checked);
    pair.style.setProperty("--line", `${slider.value}%`);
    line.hidden = !over.checked;
  };
  const line = h("div", { class: "row wipe" }, h("label", { htmlFor: slider.id }, "A to B"), slider);
  over.addEventListener("change", apply);
  slider.addEventListener("input", apply);
  apply();
  return h("div", { class: "row" }, h("label", { htmlFor: over.id }, "Lay one over the other"), over, line);
}

/** @param {Picture[]} two */
async function differences(two) {
  const abouts = await Promise.all(two.map(aboutOf));
  const [first, second] = abouts.map((about, index) => new Map([...factsOf({ ...about.request, seed: two[index].seed })]));
  const names = [...new Set([...first.keys(), ...second.keys()])].filter((name) => first.get(name) !== second.get(name));
  if (names.length === 0) return h("p", { class: "help" }, "They were asked for in the same way.");
  const head = h("tr", {}, h("th", { scope: "col" }, "Differs"), h("th", { scope: "col" }, "A"), h("th", { scope: "col" }, "B"));
  const rows = names.map((name) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, first.get(name) ?? "default"), h("td", {}, second.get(name) ?? "default")),
  );
  return h("table", {}, h("thead", {}, head), h("tbody", {}, rows));
}

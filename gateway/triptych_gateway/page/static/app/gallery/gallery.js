// @ts-check
/** The gallery: pictures as tiles, search, and what is done with several at once. */

import { announce, notify } from "../base/announce.js";
import { ask } from "../base/dialog.js";
import { byId, button, h } from "../base/dom.js";
import { counted } from "../base/text.js";
import { openCompare } from "./compare.js";
import { deletePictures, downloadZip, hasMore, morePictures, pictures, refreshPictures, thumbnailOf } from "./pictures.js";

/** @typedef {import("./pictures.js").Picture} Picture */

const TYPING_MS = 250;

/** @param {(picture: Picture) => void} open */
export function setUpGallery(open) {
  /** @type {Set<string>} */
  const selected = new Set();
  const bar = makeBar(selected);
  const grid = byId("pictures");
  /** @type {Map<string, HTMLElement>} */
  const tiles = new Map();
  pictures.watch((all) => {
    keep(tiles, selected, all);
    grid.replaceChildren(...all.map((picture) => tiles.get(picture.id) ?? tile(picture)));
    byId("no-pictures").hidden = all.length > 0;
    bar.show();
  });
  const tile = (/** @type {Picture} */ picture) => {
    const made = makeTile(picture, open, (isChosen) => {
      if (isChosen) selected.add(picture.id);
      else selected.delete(picture.id);
      bar.show();
    });
    tiles.set(picture.id, made);
    return made;
  };
  byId("gallery-bar").append(bar.element);
  setUpSearch();
  setUpMore();
}

/** @type {(tiles: Map<string, HTMLElement>, selected: Set<string>, all: Picture[]) => void} */
function keep(tiles, selected, all) {
  const there = new Set(all.map((picture) => picture.id));
  for (const id of tiles.keys()) if (!there.has(id)) tiles.delete(id);
  for (const id of selected) if (!there.has(id)) selected.delete(id);
}

/** @type {(picture: Picture, open: (picture: Picture) => void, choose: (isChosen: boolean) => void) => HTMLElement} */
function makeTile(picture, open, choose) {
  const name = picture.prompt || `Picture of seed ${picture.seed}`;
  const image = h("img", { src: thumbnailOf(picture), alt: name, loading: "lazy", decoding: "async" });
  const show = h("button", { type: "button", class: "tile-open", onclick: () => open(picture) }, image);
  const box = h("input", { type: "checkbox", "aria-label": `Choose: ${name}` });
  box.addEventListener("change", () => choose(box.checked));
  return h("li", { class: "tile" }, show, h("label", { class: "tile-choose" }, box));
}

/** @param {Set<string>} selected */
function makeBar(selected) {
  const chosen = () => pictures.get().filter((picture) => selected.has(picture.id));
  const count = h("span", { role: "status" });
  const compare = button("Compare", () => openCompare(chosen()), { icon: "compare" });
  const zip = button("Download", () => attempt(() => downloadZip(chosen())), { icon: "download" });
  const remove = button("Delete", () => removeAll(chosen()), { icon: "delete", class: "danger" });
  const none = button("Choose none", () => {
    selected.clear();
    for (const box of document.querySelectorAll(".tile-choose input")) /** @type {HTMLInputElement} */ (box).checked = false;
    show();
  }, { class: "quiet" });
  const element = h("div", { class: "selection", hidden: true }, count, compare, zip, remove, none);
  const show = () => {
    element.hidden = selected.size === 0;
    count.textContent = `${selected.size} chosen`;
    compare.disabled = selected.size !== 2;
    compare.title = selected.size === 2 ? "" : "Choose two pictures to compare them";
  };
  return { element, show };
}

/** @param {Picture[]} which */
async function removeAll(which) {
  if (!(await ask(`Delete ${counted(which.length, "picture")} for good?`, "Delete"))) return;
  await attempt(() => deletePictures(which));
  announce(`${counted(which.length, "picture")} deleted.`);
}

function setUpSearch() {
  const input = /** @type {HTMLInputElement} */ (byId("search"));
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => attempt(async () => {
      await refreshPictures(input.value.trim());
      announce(`${counted(pictures.get().length, "picture")}${hasMore.get() ? " and more" : ""}.`);
    }), TYPING_MS);
  });
}

function setUpMore() {
  const more = button("Show more", () => attempt(morePictures));
  byId("more").append(more);
  hasMore.watch((is) => (more.hidden = !is));
}

/** @param {() => Promise<unknown>} action whose failure is shown */
export async function attempt(action) {
  try {
    await action();
  } catch (error) {
    notify(/** @type {Error} */ (error).message, "error");
  }
}

// @ts-check
/** One picture, large, with how it was made and what can be done with it. */

import { announce, notify } from "../base/announce.js";
import { ask, openDialog } from "../base/dialog.js";
import { button, h, icon } from "../base/dom.js";
import { dateText } from "../base/text.js";
import { paint, takeSource } from "../form/source.js";
import { factsOf } from "./facts.js";
import { checkpoints, isControlNet, isIpAdapter } from "../server/known.js";
import { attempt } from "./gallery.js";
import { aboutOf, addressOf, deletePictures, fileName, fileOf, pictures } from "./pictures.js";

/**
 * @typedef {import("./pictures.js").Picture} Picture
 * @typedef {(picture: import("../form/choosing.js").Chosen) => void} Take
 */

/**
 * @param {Picture} first
 * @param {{ reuse: (request: Record<string, any>, leftOut: string[]) => void, useSeed: (seed: number | bigint) => void, control: Take, adapter: Take }} uses
 */
export function openViewer(first, uses) {
  const image = h("img", { class: "large" });
  const side = h("div", { class: "side-text" });
  const dialog = openDialog("Picture", [h("div", { class: "large-room" }, image), side], { class: "viewer" });
  const show = (/** @type {Picture} */ picture) => attempt(async () => {
    image.src = addressOf(picture);
    image.alt = picture.prompt || `Picture of seed ${picture.seed}`;
    const about = await aboutOf(picture);
    side.replaceChildren(...describe(picture, about, () => dialog.close(), uses));
  });
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.target instanceof HTMLInputElement) return;
    const all = pictures.get();
    const next = all[all.findIndex((each) => each.id === current.id) + by];
    if (next) void show((current = next));
  });
  let current = first;
  void show(first);
}

/**
 * @param {Picture} picture
 * @param {import("./pictures.js").About} about
 * @param {() => void} close
 * @param {Parameters<typeof openViewer>[1]} uses
 */
function describe(picture, about, close, uses) {
  const leave = (/** @type {() => unknown} */ action) => () => attempt(async () => (close(), await action()));
  const take = async () => await takeSource(await fileOf(picture), fileName(picture), picture.id);
  const chosen = { name: picture.prompt || fileName(picture), file: undefined, reference: `picture:${picture.id}` };
  const actions = [
    button("Make again", leave(() => uses.reuse(about.request, about.left_out)), { icon: "again", class: "primary" }),
    button("Use its seed", leave(() => uses.useSeed(picture.seed)), { icon: "dice" }),
    button("Begin with it", leave(take), { icon: "image" }),
    button("Send to inpaint", leave(async () => (await take(), paint())), { icon: "brush" }),
    checkpoints.get().some(isControlNet) && button("To a ControlNet", leave(() => uses.control(chosen)), { icon: "outline", label: "Send to a ControlNet" }),
    checkpoints.get().some(isIpAdapter) && button("To an IP-Adapter", leave(() => uses.adapter(chosen)), { icon: "like", label: "Send to an IP-Adapter" }),
    h("a", { class: "button", href: addressOf(picture), download: fileName(picture) }, icon("download"), h("span", {}, "Download")),
    button("Delete", () => attempt(() => remove(picture, close)), { icon: "delete", class: "danger" }),
  ];
  const size = [`${picture.width} × ${picture.height}`, picture.format, dateText(picture.made_s)];
  const facts = [["Seed", String(picture.seed)], ...factsOf({ ...about.request, seed: undefined })];
  const list = h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  const copy = button("Copy as A1111's text", () => attempt(() => copyText(about.infotext)), { class: "quiet", icon: "copy" });
  const black = picture.is_nsfw && h("p", { class: "problem" }, "It was found not safe for work, and is black therefore.");
  return [h("div", { class: "row actions" }, actions), black || "", list, h("p", { class: "help" }, size.filter(Boolean).join(" · ")), about.infotext && copy].filter((each) => each !== "");
}

/** @param {string} text */
async function copyText(text) {
  if (!navigator.clipboard) throw new Error("Browsers let a page copy over https, or from this machine, alone.");
  await navigator.clipboard.writeText(text);
  notify("Copied.");
}

/**
 * @param {Picture} picture
 * @param {() => void} close
 */
async function remove(picture, close) {
  if (!(await ask("Delete this picture for good?", "Delete"))) return;
  await deletePictures([picture]);
  close();
  announce("Deleted.");
}

// @ts-check
/** Pictures that are dropped on the page, or chosen, to be read: how were they made? */

import { notify } from "../base/announce.js";
import { byId } from "../base/dom.js";
import { call } from "../server/api.js";
import { attempt } from "./gallery.js";

/** @param {(request: Record<string, any>, leftOut: string[], name: string) => void} reuse */
export function setUpReading(reuse) {
  const read = (/** @type {File} */ file) => attempt(async () => {
    const form = new FormData();
    form.set("picture", file, file.name);
    const told = await call("POST", "/request-from", { form });
    reuse(told.request, told.left_out, file.name);
  });
  const input = /** @type {HTMLInputElement} */ (byId("read-file"));
  byId("read").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) void read(file);
  });
  takeDrops(read);
}

/** @param {(file: File) => void} read */
function takeDrops(read) {
  const mark = (/** @type {boolean} */ is) => document.body.classList.toggle("dragging", is);
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const file = event.dataTransfer?.files[0];
    if (file?.type.startsWith("image/")) read(file);
    else if (file) notify(`${file.name} is no picture. Models are uploaded under Models.`, "error");
  });
}

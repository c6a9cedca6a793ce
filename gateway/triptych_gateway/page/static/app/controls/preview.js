// @ts-check
/** What a preprocessor makes of a picture, seen before anything is drawn. */

import { button, h } from "../base/dom.js";
import { readSource } from "../form/source.js";
import { ApiError, send } from "../server/api.js";

/**
 * @param {string} of
 * @param {() => { request: Record<string, unknown>, picture: import("../form/choosing.js").Chosen | undefined }} asked
 * @param {(field: string, message: string) => void} tell
 */
export function makePreview(of, asked, tell) {
  const show = button("Preview", () => void refresh(), { icon: "image", label: `Preview what ${of} looks at` });
  const image = h("img", { class: "thumbnail", alt: `What ${of} looks at, prepared` });
  const figure = h("figure", { class: "prepared", hidden: true }, image);
  let running = new AbortController();
  let address = "";
  const clear = () => {
    running.abort();
    figure.hidden = true;
    show.removeAttribute("aria-busy");
  };
  const refresh = async () => {
    running.abort();
    const mine = (running = new AbortController());
    show.setAttribute("aria-busy", "true");
    try {
      const file = await prepared(asked(), mine.signal);
      if (mine.signal.aborted) return;
      if (address) URL.revokeObjectURL(address);
      image.src = address = URL.createObjectURL(file);
      figure.hidden = false;
      tell("", "");
    } catch (error) {
      if (mine.signal.aborted || !(error instanceof Error)) return;
      clear();
      tell(error instanceof ApiError ? error.field : "", error.message);
    } finally {
      if (mine === running) show.removeAttribute("aria-busy");
    }
  };
  return {
    element: h("div", { class: "preview" }, show, figure),
    clear,
    /** Once something is shown, what is changed is seen at once. */
    follow: () => (figure.hidden ? undefined : void refresh()),
  };
}

/**
 * @param {ReturnType<Parameters<typeof makePreview>[1]>} asked
 * @param {AbortSignal} signal
 */
async function prepared({ request, picture }, signal) {
  const image = picture && (picture.reference || (picture.file && (await text(picture.file))));
  const { mask_image: mask } = (await readSource()).files;
  const json = { ...request, image: image ?? "", ...(mask && { mask_image: await text(mask) }) };
  const answer = await send("POST", "/preprocess", { json, headers: { Accept: "image/*" }, signal });
  return answer.blob();
}

/**
 * @param {Blob} file
 * @returns {Promise<string>} as a data URI
 */
function text(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(new Error("the image cannot be read"));
    reader.readAsDataURL(file);
  });
}

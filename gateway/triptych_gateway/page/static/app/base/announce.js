// @ts-check
/** Tells what happened, to the eye for some seconds and to screen readers. */

import { byId, button, h } from "./dom.js";

const SHOWN_MS = 8000;

/**
 * To screen readers alone; what the eye sees anyway.
 *
 * @param {string} text
 */
export function announce(text) {
  byId("announcements").textContent = text;
}

/**
 * @param {string} text
 * @param {"note" | "error"} kind an error stays until it is closed
 */
export function notify(text, kind = "note") {
  const notice = h("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, h("p", {}, text));
  notice.append(button("Close", () => notice.remove(), { icon: "close", class: "quiet", iconOnly: true }));
  byId("notices").append(notice);
  if (kind === "note") setTimeout(() => notice.remove(), SHOWN_MS);
}

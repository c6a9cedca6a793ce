// @ts-check
/** Dialogs over the page; Escape closes them, and the focus goes back to where it was. */

import { button, freshId, h } from "./dom.js";

/**
 * Opens one, and removes it once it is closed.
 *
 * @param {string} title
 * @param {(import("./dom.js").Child)[]} content
 * @param {{ class?: string, onclose?: () => void }} [options]
 */
export function openDialog(title, content, options = {}) {
  const id = freshId();
  const close = button("Close", () => dialog.close(), { icon: "close", class: "quiet", iconOnly: true });
  const header = h("header", {}, h("h2", { id }, title), close);
  const body = h("div", { class: "dialog-body" }, ...content);
  const dialog = h("dialog", { class: options.class ?? "", "aria-labelledby": id }, header, body);
  dialog.addEventListener("close", () => {
    dialog.remove();
    options.onclose?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Whether the person says yes.
 *
 * @param {string} question
 * @param {string} yes what the button says
 * @returns {Promise<boolean>}
 */
export function ask(question, yes) {
  return new Promise((resolve) => {
    let answer = false;
    const agree = () => {
      answer = true;
      dialog.close();
    };
    const buttons = [button("Keep", () => dialog.close()), button(yes, agree, { class: "danger" })];
    const content = [h("p", {}, question), h("div", { class: "row end" }, ...buttons)];
    const dialog = openDialog(yes, content, { class: "small", onclose: () => resolve(answer) });
  });
}

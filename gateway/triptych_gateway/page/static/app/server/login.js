// @ts-check
/** The login, where the server wants one: a form, and who is logged in. */

import { byId, button, h } from "../base/dom.js";
import { openDialog } from "../base/dialog.js";
import { complain } from "../form/fields.js";
import { connection } from "./connection.js";

/** @param {() => void} changed called when somebody has logged in */
export function setUpLogin(changed) {
  let isOpen = false;
  connection.watch((state) => {
    if (state !== "login" || isOpen) return;
    isOpen = true;
    openLogin(() => {
      isOpen = false;
      connection.set("connected");
      void showName();
      changed();
    });
  });
  void showName();
}

/** @param {() => void} entered */
function openLogin(entered) {
  const name = h("input", { id: "login-name", autocomplete: "username", required: true, autofocus: true });
  const password = h("input", { id: "login-password", type: "password", autocomplete: "current-password", required: true });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const field = (/** @type {string} */ label, /** @type {HTMLElement} */ input) =>
    h("div", { class: "field" }, h("label", { htmlFor: input.id }, label), input);
  const form = h("form", {}, field("Name", name), field("Password", password), problem, h("button", { class: "primary" }, "Log in"));
  const dialog = openDialog("Log in", [form], { class: "small login" });
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const refusal = await enter(name.value, password.value);
    complain([password], problem, refusal);
    if (refusal) return password.select();
    dialog.close();
    entered();
  });
}

/** @type {(name: string, password: string) => Promise<string>} why not; empty once it is done */
async function enter(name, password) {
  const headers = { "Content-Type": "application/json" };
  try {
    const answer = await fetch("/login", { method: "POST", headers, body: JSON.stringify({ name, password }) });
    if (answer.ok) return "";
    return answer.status === 401 ? "That name and password do not belong together." : `The server answered ${answer.status}; try again later.`;
  } catch {
    return "The server does not answer; try again.";
  }
}

async function showName() {
  const answer = await fetch("/login").catch(() => undefined);
  if (!answer?.ok) return;
  const { name } = await answer.json();
  const leave = button(`Log out ${name}`, async () => {
    await fetch("/logout", { method: "POST" });
    location.reload();
  }, { icon: "leave", class: "quiet" });
  byId("account").replaceChildren(...(name ? [leave] : []));
}

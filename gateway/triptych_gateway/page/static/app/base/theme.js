// @ts-check
/** Light or dark: as the system says, until the switch says otherwise. */

import { recall, remember } from "./store.js";

/** @param {HTMLSelectElement} choice "auto", "light" or "dark" */
export function setUpTheme(choice) {
  choice.value = recall("theme", "auto");
  const apply = () => {
    document.documentElement.dataset.theme = choice.value;
    remember("theme", choice.value === "auto" ? undefined : choice.value);
  };
  choice.addEventListener("change", apply);
  apply();
}

// @ts-check
/**
 * Help is shown at the field that has the focus. Pressing something else takes the focus away, and what stands below would
 * move from under the pointer before it is let go: no click would come of it. So the help stays until then.
 */

/** @param {HTMLElement} form */
export function holdHelp(form) {
  form.addEventListener("pointerdown", () => {
    const field = document.activeElement?.closest(".field");
    if (!field) return;
    field.classList.add("held");
    const letGo = () => setTimeout(() => field.classList.remove("held")); // once the click has come
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, letGo, { once: true });
  });
}

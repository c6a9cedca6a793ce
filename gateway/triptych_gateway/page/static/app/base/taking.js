// @ts-check
/** Places of the page that take image files: chosen by their input, dropped on them, or pasted. */

/** @typedef {(files: File[]) => void} Take */

/** @type {Map<HTMLElement, Take>} */
const places = new Map();

/**
 * @param {HTMLElement} place
 * @param {HTMLInputElement} input
 * @param {Take} take
 * @returns {() => void} ends it
 */
export function takeFiles(place, input, take) {
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.value = "";
    if (files.length) take(files);
  });
  takeDrops(place, take);
  places.set(place, take);
  return () => places.delete(place);
}

/** @type {(place: HTMLElement, take: Take) => void} */
function takeDrops(place, take) {
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.stopPropagation();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    place.classList.remove("over");
    document.body.classList.remove("dragging");
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) take(files);
  });
}

/**
 * To the place beside which the focus is, or else that is pointed at, or else the first one there is.
 *
 * @param {ClipboardEvent} event
 */
function paste(event) {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  // What is copied from a text often brings a picture of it.
  if (!files.length || event.clipboardData?.getData("text/plain") || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  const all = [...places.keys()];
  const hasFocus = (/** @type {HTMLElement} */ place) => (place.closest("[role=group]") ?? place).contains(document.activeElement);
  const place = all.find(hasFocus) ?? all.find((each) => each.matches(":hover")) ?? all[0];
  places.get(place)?.(files);
  place?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("paste", paste);

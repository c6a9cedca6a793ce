// @ts-check
/** What the browser remembers of this page, as JSON; nothing where it may not. */

const PREFIX = "triptych.";

/**
 * @template Value
 * @param {string} name
 * @param {Value} otherwise
 * @returns {Value}
 */
export function recall(name, otherwise) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise; // storage is off, or holds what an older page wrote
  }
}

/**
 * @param {string} name
 * @param {unknown} value undefined: forget it
 */
export function remember(name, value) {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    return; // storage is off or full: the page works without
  }
}

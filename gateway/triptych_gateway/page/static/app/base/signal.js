// @ts-check
/**
 * A value, and who wants to know when it changes: `const shown = signal(1); shown.watch((value) => ...); shown.set(2)`.
 */

/**
 * @template Value
 * @typedef {object} Signal
 * @property {() => Value} get
 * @property {(value: Value) => void} set
 * @property {(listener: (value: Value) => void) => () => void} watch calls it now and at each change, until what it
 *   returned is called
 */

/**
 * @template Value
 * @param {Value} first
 * @returns {Signal<Value>}
 */
export function signal(first) {
  let current = first;
  /** @type {Set<(value: Value) => void>} */
  const listeners = new Set();
  return {
    get: () => current,
    set(value) {
      current = value;
      for (const listener of [...listeners]) listener(value);
    },
    watch(listener) {
      listeners.add(listener);
      listener(current);
      return () => listeners.delete(listener);
    },
  };
}

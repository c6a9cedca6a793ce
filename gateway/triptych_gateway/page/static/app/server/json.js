// @ts-check
/** JSON whose whole numbers may have 64 bits, as seeds do: those that a number does not hold are BigInts. */

/**
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  return JSON.parse(text, /** @type {any} */ (exact));
}

/** @type {(key: string, value: unknown, context?: { source?: string }) => unknown} */
function exact(_key, value, context) {
  if (typeof value !== "number" || Number.isSafeInteger(value) || !Number.isInteger(value)) return value;
  // Browsers that do not tell the source show such a seed rounded.
  return context?.source && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

/** @param {unknown} value */
export function stringify(value) {
  const raw = /** @type {{ rawJSON?: (text: string) => unknown }} */ (/** @type {unknown} */ (JSON)).rawJSON;
  return JSON.stringify(value, (_key, each) => {
    if (typeof each !== "bigint") return each;
    return raw ? raw.call(JSON, each.toString()) : Number(each);
  });
}

// @ts-check
/** What a request says of a ControlNet besides its picture, as data; what its preprocessor takes comes from the server. */

/** @typedef {import("../form/parameters.js").Parameter} Parameter */

/** @type {Parameter[]} */
export const PARAMETERS = [
  {
    name: "conditioning_scale", label: "Weight", kind: "weight", min: 0, max: 10, step: 0.05, otherwise: "1",
    help: "What its share is multiplied by.",
  },
  {
    name: "guidance_start", label: "From", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "0",
    help: "The share of the steps after which it counts.",
  },
  {
    name: "guidance_end", label: "Until", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "1",
    help: "The share of the steps after which it no longer counts.",
  },
  {
    name: "control_mode", label: "Whose word counts", kind: "choice", choices: ["balanced", "prompt", "control"],
    otherwise: "balanced", help: "Balanced, the prompt's more, or the ControlNet's more.",
  },
  {
    name: "resize_mode", label: "Other proportions", kind: "choice", otherwise: "just resize",
    choices: ["just_resize", "crop_and_resize", "resize_and_fill"],
    help: "Where the image's are not the picture's: it is stretched, cut, or laid on a border.",
  },
  {
    name: "hr_option", label: "With hires fix", kind: "choice", choices: ["both", "low_res", "high_res"],
    otherwise: "both", help: "In which of the two passes it counts.",
  },
];

/** @type {Parameter} */
export const PREPROCESSOR = {
  name: "preprocessor", label: "Preprocessor", kind: "choice", otherwise: "none",
  help: "What the image is prepared with first; none where it already is what the ControlNet was trained with.",
};

/** @type {Parameter} */
export const UNION_TYPE = {
  name: "union_type", label: "What the image is", kind: "choice", otherwise: "choose one",
  help: "As which of its types the union ControlNet looks at it.",
};

/** @type {Parameter} */
export const GUESS_MODE = {
  name: "guess_mode", label: "Guess mode", kind: "yesno", on: false, otherwise: "no",
  help: "They count for the prompt and not for the negative one, and less the further from the UNet's middle.",
};

/**
 * A preprocessor's own numbers.
 *
 * @type {("processor_res" | "threshold_a" | "threshold_b")[]}
 */
export const NUMBERS = ["processor_res", "threshold_a", "threshold_b"];

/**
 * @param {string} name
 * @param {import("../server/known.js").PreprocessorParameter} told
 * @returns {Parameter}
 */
export function numberOfPreprocessor(name, { label, minimum, maximum, default_value, step }) {
  const isWhole = [minimum, default_value, step].every(Number.isInteger);
  const kind = isWhole ? "integer" : "number";
  const help = `From ${minimum} to ${maximum}.`;
  return { name, label, kind, min: minimum, max: maximum, step: isWhole ? 1 : step, otherwise: String(default_value), help };
}

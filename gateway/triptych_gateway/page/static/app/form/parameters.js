// @ts-check
/**
 * Every parameter of a request, as data: its name in the API (diffusers'), how it is shown, and what the server takes
 * where it is left out. "hires.scale" is the field `scale` of the object `hires`.
 *
 * The prompts, the checkpoint, LoRAs, the seed and the images have places of their own in the form.
 */

/**
 * @typedef {"integer" | "number" | "text" | "choice" | "yesno" | "pair" | "seeds" | "weight"} Kind
 *
 * @typedef {object} Parameter
 * @property {string} name
 * @property {string} label
 * @property {Kind} kind
 * @property {string} otherwise the default, in words
 * @property {string} help
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [step]
 * @property {string[]} [choices]
 * @property {"schedulers" | "engines" | "upscalers" | "all_upscalers" | "vaes" | "refiners"} [from] whose names the choices are
 * @property {[string, string]} [parts] of a pair: what each of both is called
 * @property {boolean} [on] of a yesno: its default
 * @property {Need} [needs] what must be there for it to count
 * @property {string} [first] what the page asks for unless it is changed, where that is not the server's default
 *
 * @typedef {object} Group
 * @property {string} title
 * @property {"open" | "folded" | "switched"} shown a switched one counts only while its switch is on
 * @property {string} [object] of a switched one: the object whose fields these are
 * @property {Need} [needs] what must be there for it to count
 * @property {string} [note]
 * @property {Parameter[]} parameters
 *
 * @typedef {"image" | "mask" | "borders" | "xl" | "instructed" | "redrawn"} Need "redrawn": from an image, not as instructed
 */

/** @type {Group[]} */
export const GROUPS = [
  {
    title: "Picture",
    shown: "open",
    parameters: [
      {
        name: "width", label: "Width", kind: "integer", min: 8, step: 8, otherwise: "the checkpoint's",
        help: "Pixels; from an image, by default the image's own.",
      },
      {
        name: "height", label: "Height", kind: "integer", min: 8, step: 8, otherwise: "the checkpoint's",
        help: "Pixels; from an image, by default the image's own.",
      },
      {
        name: "num_inference_steps", label: "Steps", kind: "integer", min: 1, otherwise: "50",
        help: "More take longer. An InstructPix2Pix checkpoint does 100 unless told otherwise.",
      },
      {
        name: "guidance_scale", label: "Guidance", kind: "number", min: 0, step: 0.5, otherwise: "7.5",
        help: "How closely the picture follows the prompt; at 1 and below the negative prompt has no effect.",
      },
      {
        name: "num_images_per_prompt", label: "Pictures", kind: "integer", min: 1, otherwise: "1",
        help: "How many are made at once.",
      },
      {
        name: "scheduler", label: "Scheduler", kind: "choice", from: "schedulers", otherwise: "the checkpoint's own",
        help: "How the noise is taken away, step by step.",
      },
    ],
  },
  {
    title: "From the image",
    shown: "open",
    needs: "image",
    parameters: [
      {
        name: "strength", label: "Strength", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "0.8",
        needs: "redrawn", help: "How much of the image is drawn anew, from 0 to 1.",
      },
      {
        name: "image_guidance_scale", label: "Image guidance", kind: "number", min: 1, step: 0.1, otherwise: "1.5",
        needs: "instructed", help: "For InstructPix2Pix checkpoints: how closely the picture keeps to the image.",
      },
    ],
  },
  {
    title: "Inpainting",
    shown: "open",
    needs: "mask",
    parameters: [
      {
        name: "mask_blur", label: "Mask blur", kind: "integer", min: 0, otherwise: "0",
        help: "Pixels over which the mask's edge is softened.",
      },
      {
        name: "padding_mask_crop", label: "Only the masked part", kind: "integer", min: 0, otherwise: "whole image",
        help: "Draws the masked part alone, with so many pixels around it, and lays it on the image.",
      },
      {
        name: "masked_content", label: "Under the mask", kind: "choice", otherwise: "original",
        choices: ["original", "fill", "latent_noise", "latent_nothing"],
        help: "What lies under the mask at first.",
      },
      {
        name: "expand_fill", label: "New borders begin with", kind: "choice", choices: ["copy", "reflect", "noise"],
        needs: "borders", otherwise: "copy", help: "Outpainting: a copy of the edge, the image mirrored, or noise.",
      },
      {
        name: "invert_mask", label: "Draw what is not painted", kind: "yesno", on: false, otherwise: "no",
        help: "Keeps what is painted and draws the rest anew.",
      },
      {
        name: "paste_original", label: "Keep the image's own pixels", kind: "yesno", on: true, otherwise: "yes",
        help: "Outside the mask not a pixel changes.",
      },
    ],
  },
  {
    title: "Hires fix",
    shown: "switched",
    object: "hires",
    note: "The finished pictures are enlarged and drawn again at that size.",
    parameters: [
      {
        name: "hires.scale", label: "Scale", kind: "number", min: 1, max: 16, step: 0.25, otherwise: "2",
        help: "How many times as large each way.",
      },
      {
        name: "hires.upscaler", label: "Upscaler", kind: "choice", from: "all_upscalers", otherwise: "latent",
        help: "Enlarges latents, or the decoded pictures.",
      },
      {
        name: "hires.strength", label: "Strength", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "0.7",
        help: "How much is drawn anew; of latents less than 0.5 leaves blurs.",
      },
      {
        name: "hires.num_inference_steps", label: "Steps", kind: "integer", min: 1, otherwise: "as above",
        help: "Of which the last share of the strength is done.",
      },
      {
        name: "hires.width", label: "Width", kind: "integer", min: 8, step: 8, otherwise: "by scale",
        help: "Pixels, in the place of the scale.",
      },
      {
        name: "hires.height", label: "Height", kind: "integer", min: 8, step: 8, otherwise: "by scale",
        help: "Pixels, in the place of the scale.",
      },
    ],
  },
  {
    title: "Enlarge at last",
    shown: "switched",
    object: "upscale",
    note: "Pictures are made larger and not drawn again. With an image and no prompt, nothing else is done.",
    parameters: [
      {
        name: "upscale.scale", label: "Scale", kind: "number", min: 1, max: 16, step: 0.25, otherwise: "2",
        help: "How many times as large each way.",
      },
      {
        name: "upscale.upscaler", label: "Upscaler", kind: "choice", from: "upscalers", otherwise: "lanczos",
        help: "A filter, or a network that was added.",
      },
      {
        name: "upscale.width", label: "Width", kind: "integer", min: 1, otherwise: "by scale",
        help: "Pixels, in the place of the scale.",
      },
      {
        name: "upscale.height", label: "Height", kind: "integer", min: 1, otherwise: "by scale",
        help: "Pixels, in the place of the scale.",
      },
    ],
  },
  {
    title: "Variation",
    shown: "folded",
    note: "The noise of a second seed, blended into the first one's.",
    parameters: [
      {
        name: "subseed_strength", label: "Strength", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "0",
        help: "How much of the second seed, from 0 to 1.",
      },
      {
        name: "subseed", label: "Second seed", kind: "seeds", otherwise: "random",
        help: "One, or one for each picture, with commas between.",
      },
      {
        name: "seed_resize_from", label: "Seed as at size", kind: "pair", parts: ["height", "width"], min: 8,
        otherwise: "the picture's", help: "Draws the noise for this size, so that a seed shows much the same at another.",
      },
    ],
  },
  {
    title: "More about drawing",
    shown: "folded",
    parameters: [
      {
        name: "guidance_rescale", label: "Guidance rescale", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "0",
        help: "How far the excess contrast of strong guidance is taken back.",
      },
      { name: "eta", label: "Eta", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "0", help: "DDIM's." },
      {
        name: "clip_skip", label: "CLIP skip", kind: "integer", min: 0, otherwise: "0",
        help: "How many of the text encoder's last layers are left out.",
      },
      {
        name: "vae", label: "VAE", kind: "choice", from: "vaes", otherwise: "the checkpoint's own",
        help: "One that was added by itself.",
      },
      {
        name: "engine", label: "Engine", kind: "choice", from: "engines", otherwise: "the checkpoint's",
        help: "Another one than the checkpoint is served by, for this request alone.",
      },
      {
        name: "tiling", label: "Tiling", kind: "choice", choices: ["xy", "x", "y"], otherwise: "no",
        help: "Edges meet where the picture is laid beside itself: both ways, sideways, or up and down.",
      },
    ],
  },
  {
    title: "Stable Diffusion XL",
    shown: "folded",
    needs: "xl",
    parameters: [
      {
        name: "refiner", label: "Refiner", kind: "choice", from: "refiners", otherwise: "none",
        help: "A second checkpoint that does the last steps.",
      },
      {
        name: "refiner_start", label: "Refiner from", kind: "number", min: 0, max: 1, step: 0.05, otherwise: "0.8",
        help: "Where it takes over, between 0 and 1.",
      },
      {
        name: "prompt_2", label: "Second prompt", kind: "text", otherwise: "the prompt",
        help: "What the second text encoder reads.",
      },
      {
        name: "negative_prompt_2", label: "Second negative prompt", kind: "text", otherwise: "the negative prompt",
        help: "What the second text encoder reads.",
      },
      {
        name: "original_size", label: "Original size", kind: "pair", parts: ["height", "width"], min: 1,
        otherwise: "the picture's", help: "Pixels that the checkpoint is told.",
      },
      {
        name: "crops_coords_top_left", label: "Crop", kind: "pair", parts: ["top", "left"], min: 0, otherwise: "0, 0",
        help: "What is told of a crop.",
      },
      {
        name: "target_size", label: "Target size", kind: "pair", parts: ["height", "width"], min: 1,
        otherwise: "the picture's", help: "Pixels that the checkpoint is told.",
      },
      {
        name: "negative_original_size", label: "Negative original size", kind: "pair", parts: ["height", "width"], min: 1,
        otherwise: "original size", help: "For the negative prompt; counts together with its target size.",
      },
      {
        name: "negative_crops_coords_top_left", label: "Negative crop", kind: "pair", parts: ["top", "left"], min: 0,
        otherwise: "0, 0", help: "For the negative prompt.",
      },
      {
        name: "negative_target_size", label: "Negative target size", kind: "pair", parts: ["height", "width"], min: 1,
        otherwise: "target size", help: "For the negative prompt.",
      },
      {
        name: "aesthetic_score", label: "Aesthetic score", kind: "number", step: 0.5, otherwise: "6",
        help: "How beautiful the picture is to be, which a refiner is told.",
      },
      {
        name: "negative_aesthetic_score", label: "Negative aesthetic score", kind: "number", step: 0.5, otherwise: "2.5",
        help: "The same for the negative prompt.",
      },
    ],
  },
  {
    title: "File and queue",
    shown: "folded",
    parameters: [
      {
        name: "image_format", label: "Format", kind: "choice", choices: ["png", "jpeg", "webp"], otherwise: "png",
        help: "Each says in itself how it was made.",
      },
      {
        name: "quality", label: "Quality", kind: "integer", min: 1, max: 100, otherwise: "95",
        help: "Of a JPEG, or of a WebP, which loses nothing without.",
      },
      {
        name: "preview_every_steps", label: "Preview every", kind: "integer", min: 0, otherwise: "never", first: "4",
        help: "Steps; each preview takes the time of a decoding.",
      },
      {
        name: "priority", label: "Priority", kind: "integer", min: -100, max: 100, otherwise: "0",
        help: "Of requests that wait, the highest go first.",
      },
      {
        name: "deadline_seconds", label: "Give up after", kind: "number", min: 0, otherwise: "never",
        help: "Seconds.",
      },
    ],
  },
];

/** Those that have places of their own in the form. */
export const PLACED = [
  "prompt", "negative_prompt", "checkpoint", "loras", "seed", "image", "mask_image", "expand", "controls", "guess_mode",
  "ip_adapters",
];

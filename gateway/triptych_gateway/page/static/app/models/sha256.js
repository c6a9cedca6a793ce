// @ts-check
/** SHA-256 of what comes in pieces (FIPS 180-4), for browsers digest only what they hold whole, and on https alone. */

const PRIMES = primes(64);
const ROUND = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));
const BLOCK_BYTES = 64;

export class Sha256 {
  #state = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  #words = new Int32Array(64);
  #rest = new Uint8Array(BLOCK_BYTES);
  #held = 0;
  #bytes = 0;

  /** @param {Uint8Array} piece */
  update(piece) {
    this.#bytes += piece.length;
    let place = 0;
    if (this.#held) {
      place = Math.min(BLOCK_BYTES - this.#held, piece.length);
      this.#rest.set(piece.subarray(0, place), this.#held);
      this.#held += place;
      if (this.#held < BLOCK_BYTES) return;
      this.#block(this.#rest, 0);
    }
    for (; place + BLOCK_BYTES <= piece.length; place += BLOCK_BYTES) this.#block(piece, place);
    this.#rest.set(piece.subarray(place));
    this.#held = piece.length - place;
  }

  /** The digest in hexadecimal; nothing can be added after it. */
  digest() {
    const bits = BigInt(this.#bytes) * 8n;
    const end = new Uint8Array((this.#held < 56 ? 64 : 128) - this.#held);
    end[0] = 0x80;
    new DataView(end.buffer).setBigUint64(end.length - 8, bits);
    this.update(end);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /**
   * @param {Uint8Array} bytes
   * @param {number} start
   */
  #block(bytes, start) {
    const words = this.#words;
    for (let i = 0; i < 16; i += 1) {
      const at = start + 4 * i;
      words[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let i = 16; i < 64; i += 1) {
      const [x, y] = [words[i - 15], words[i - 2]];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
    }
    compress(this.#state, words);
  }
}

/** @type {(state: Int32Array, words: Int32Array) => void} the 64 rounds of 6.2.2, its names */
function compress(state, words) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i += 1) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const first = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + words[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => (state[index] = (state[index] + word) | 0));
}

/** @param {number} count */
function primes(count) {
  /** @type {number[]} */
  const found = [];
  for (let number = 2; found.length < count; number += 1) {
    if (found.every((prime) => number % prime)) found.push(number);
  }
  return found;
}

/** @param {number} root the first 32 bits after its point */
function fraction(root) {
  return ((root % 1) * 2 ** 32) | 0;
}

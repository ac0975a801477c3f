"use strict";
// MD5 (RFC 1321) of bytes that come in pieces; browsers' own crypto has none.
class Md5 {
  constructor() {
    this.state = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]);
    this.words = new Int32Array(16);
    this.rest = new Uint8Array(64);
    this.length = 0;
  }

  update(bytes) {
    let from = 0;
    const filled = this.length % 64;
    this.length += bytes.length;
    if (filled) {
      from = Math.min(64 - filled, bytes.length);
      this.rest.set(bytes.subarray(0, from), filled);
      if (filled + from < 64) return this;
      this.block(this.rest, 0);
    }
    for (; from + 64 <= bytes.length; from += 64) this.block(bytes, from);
    this.rest.set(bytes.subarray(from));
    return this;
  }

  // Nothing may be added after this.
  hex() {
    const length = this.length;
    const tail = new Uint8Array((length % 64 < 56 ? 64 : 128) - length % 64);
    tail[0] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(tail.length - 8, length % 0x20000000 * 8, true);
    view.setUint32(tail.length - 4, Math.floor(length / 0x20000000), true);
    this.update(tail);
    const digest = new DataView(new ArrayBuffer(16));
    this.state.forEach((word, i) => digest.setInt32(4 * i, word, true));
    return [...new Uint8Array(digest.buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  block(bytes, at) {
    const w = this.words, state = this.state, sines = Md5.sines;
    for (let i = 0; i < 16; i++, at += 4) {
      w[i] = bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24;
    }
    let a = state[0], b = state[1], c = state[2], d = state[3], i = 0;
    // Four steps at a time, and each sum cut to 32 bits: engines then keep to integers.
    for (; i < 16; i += 4) {
      a = (a + (b & c | ~b & d) | 0) + (sines[i] + w[i] | 0) | 0; a = (a << 7 | a >>> 25) + b | 0;
      d = (d + (a & b | ~a & c) | 0) + (sines[i + 1] + w[i + 1] | 0) | 0; d = (d << 12 | d >>> 20) + a | 0;
      c = (c + (d & a | ~d & b) | 0) + (sines[i + 2] + w[i + 2] | 0) | 0; c = (c << 17 | c >>> 15) + d | 0;
      b = (b + (c & d | ~c & a) | 0) + (sines[i + 3] + w[i + 3] | 0) | 0; b = (b << 22 | b >>> 10) + c | 0;
    }
    for (; i < 32; i += 4) {
      a = (a + (d & b | ~d & c) | 0) + (sines[i] + w[5 * i + 1 & 15] | 0) | 0; a = (a << 5 | a >>> 27) + b | 0;
      d = (d + (c & a | ~c & b) | 0) + (sines[i + 1] + w[5 * i + 6 & 15] | 0) | 0; d = (d << 9 | d >>> 23) + a | 0;
      c = (c + (b & d | ~b & a) | 0) + (sines[i + 2] + w[5 * i + 11 & 15] | 0) | 0; c = (c << 14 | c >>> 18) + d | 0;
      b = (b + (a & c | ~a & d) | 0) + (sines[i + 3] + w[5 * i + 16 & 15] | 0) | 0; b = (b << 20 | b >>> 12) + c | 0;
    }
    for (; i < 48; i += 4) {
      a = (a + (b ^ c ^ d) | 0) + (sines[i] + w[3 * i + 5 & 15] | 0) | 0; a = (a << 4 | a >>> 28) + b | 0;
      d = (d + (a ^ b ^ c) | 0) + (sines[i + 1] + w[3 * i + 8 & 15] | 0) | 0; d = (d << 11 | d >>> 21) + a | 0;
      c = (c + (d ^ a ^ b) | 0) + (sines[i + 2] + w[3 * i + 11 & 15] | 0) | 0; c = (c << 16 | c >>> 16) + d | 0;
      b = (b + (c ^ d ^ a) | 0) + (sines[i + 3] + w[3 * i + 14 & 15] | 0) | 0; b = (b << 23 | b >>> 9) + c | 0;
    }
    for (; i < 64; i += 4) {
      a = (a + (c ^ (b | ~d)) | 0) + (sines[i] + w[7 * i & 15] | 0) | 0; a = (a << 6 | a >>> 26) + b | 0;
      d = (d + (b ^ (a | ~c)) | 0) + (sines[i + 1] + w[7 * i + 7 & 15] | 0) | 0; d = (d << 10 | d >>> 22) + a | 0;
      c = (c + (a ^ (d | ~b)) | 0) + (sines[i + 2] + w[7 * i + 14 & 15] | 0) | 0; c = (c << 15 | c >>> 17) + d | 0;
      b = (b + (d ^ (c | ~a)) | 0) + (sines[i + 3] + w[7 * i + 21 & 15] | 0) | 0; b = (b << 21 | b >>> 11) + c | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
  }
}
Md5.sines = Int32Array.from({length: 64}, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));

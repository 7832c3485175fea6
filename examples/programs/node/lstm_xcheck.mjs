// Lets lstm-xcheck judge an LSTM in JavaScript: one file for node.
//
// serve("torch", (q) => ({ y, h_n, c_n, lower })) answers with arrays of numbers; lower, the outputs of the layers below
// the top one, may be left out. Throw new Unsupported(reason) for an LSTM that you do not have. Print with console.error
// only: stdout carries the answers.
import { readSync, writeSync } from "node:fs";

export class Unsupported extends Error {}
export const FLAGS = { bidirectional: 1, reverse: 2, states: 4, lengths: 8, bias: 16, secondBias: 32, peepholes: 64, gradients: 128, coupled: 256 | 512 };

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function again(call) { // a pipe that is not ready throws EAGAIN
  for (;;) {
    try { return call(); } catch (error) {
      if (error.code === "EOF") return 0;
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(sleeper, 0, 0, 1);
    }
  }
}

function read(size) { // null at the end of stdin
  const buffer = Buffer.from(new ArrayBuffer(size)); // aligned, so that arrays are views of it
  for (let at = 0; at < size; ) {
    const count = again(() => readSync(0, buffer, at, size - at, null));
    if (count === 0) return null;
    at += count;
  }
  return buffer;
}

function write(buffer) {
  for (let at = 0; at < buffer.length; ) at += again(() => writeSync(1, buffer, at, buffer.length - at));
}

function parse(body, Numbers) {
  const flags = body.readUInt32LE(0), size = (at) => Number(body.readBigUInt64LE(at));
  const q = {
    flags, layers: body.readUInt32LE(4), directions: flags & 1 ? 2 : 1, reverse: !!(flags & FLAGS.reverse),
    bias: !!(flags & FLAGS.bias), secondBias: !!(flags & FLAGS.secondBias),
    batch: size(8), steps: size(16), input: size(24), hidden: size(32), projection: size(40),
    clips: [56, 64, 72].map((at) => body.readDoubleLE(at)), activations: [...body.subarray(80, 83)],
  };
  let at = 104;
  q.lengths = new Array(q.batch).fill(q.steps);
  if (flags & FLAGS.lengths) for (let n = 0; n < q.batch; n++, at += 8) q.lengths[n] = size(at);
  const numbers = (count) => {
    const array = new Numbers(body.buffer, at, count);
    at += array.byteLength;
    return array;
  };
  q.weights = numbers(size(48));
  q.x = numbers(q.batch * q.steps * q.input);
  const rows = flags & FLAGS.states ? q.layers * q.directions * q.batch : 0;
  q.h0 = numbers(rows * (q.projection || q.hidden)); // empty where states are absent
  q.c0 = numbers(rows * q.hidden);
  return q;
}

function encode(answer, Numbers) {
  const head = Buffer.alloc(8), lower = answer.lower ?? [];
  head[0] = lower.length ? 1 : 0;
  const bytes = [answer.y, answer.h_n, answer.c_n, lower].map((part) => {
    const array = new Numbers(part);
    return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  });
  return Buffer.concat([head, ...bytes]);
}

export function serve(layout, lstm) {
  for (let head; (head = read(32)); ) {
    if (head.toString("latin1", 0, 6) !== "LXRQ\x01\0") throw new Error("this is no request of version 1");
    const size = Number(head.readBigUInt64LE(16)), body = size ? read(size) : Buffer.alloc(0);
    const Numbers = head[7] === 4 ? Float32Array : Float64Array;
    let status = 0, answer;
    try {
      answer = head[6] === 0 ? Buffer.from(`layout ${layout}`) : encode(lstm(parse(body, Numbers)), Numbers);
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      [status, answer] = [1, Buffer.from(error.message)];
    }
    const out = Buffer.alloc(32);
    out.write("LXAN\x01\0", "latin1");
    out[6] = status;
    out[7] = head[7];
    head.copy(out, 8, 8, 16);
    out.writeBigUInt64LE(BigInt(answer.length), 16);
    if (head[7] === 4) out.writeFloatLE(1, 24); else out.writeDoubleLE(1, 24);
    write(Buffer.concat([out, answer]));
  }
}

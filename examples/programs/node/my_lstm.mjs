// An LSTM in JavaScript, and how lstm-xcheck runs it. The argument `wrong` plants a mistake.
import { FLAGS, Unsupported, serve } from "./lstm_xcheck.mjs";

const wrong = process.argv.includes("wrong");
function dot(a, from, b, at, count) { // of a row of a and a row of b
  let sum = 0;
  for (let j = 0; j < count; j++) sum += a[from + j] * b[at + j];
  return sum;
}
const sigmoid = (v) => 1 / (1 + Math.exp(-v));

serve("torch", (q) => {
  if (q.flags & (FLAGS.peepholes | FLAGS.gradients | FLAGS.coupled) || q.projection) throw new Unsupported("peepholes, gradients, coupled gates and projections are not implemented");
  if (q.clips.some((clip) => clip) || `${q.activations}` !== "0,1,1") throw new Unsupported("clips and other activations are not implemented");
  const H = q.hidden, D = q.directions, rows = q.layers * D * q.batch;
  const h_n = new Float64Array(rows * H), c_n = new Float64Array(rows * H), z = new Float64Array(4 * H);
  const lower = new Float64Array((q.layers - 1) * q.batch * q.steps * D * H);
  h_n.set(q.h0);
  c_n.set(q.c0);
  let x = q.x, input = q.input, at = 0;
  const take = (count) => q.weights.subarray(at, (at += count));
  for (let layer = 0; layer < q.layers; layer++) {
    const y = new Float64Array(q.batch * q.steps * D * H);
    for (let d = 0; d < D; d++) {
      const W = take(4 * H * input), U = take(4 * H * H), b = take(q.bias ? 4 * H : 0), r = take(q.secondBias ? 4 * H : 0);
      const back = (d === 1 || q.reverse) && !wrong; // planted: every direction reads forward
      for (let n = 0; n < q.batch; n++) {
        const row = ((layer * D + d) * q.batch + n) * H, h = h_n.subarray(row, row + H), c = c_n.subarray(row, row + H);
        for (let s = 0; s < q.lengths[n]; s++) {
          const t = back ? q.lengths[n] - 1 - s : s;
          for (let k = 0; k < 4 * H; k++) {
            z[k] = (b[k] ?? 0) + (r[k] ?? 0) + dot(W, k * input, x, (n * q.steps + t) * input, input) + dot(U, k * H, h, 0, H);
          }
          for (let k = 0; k < H; k++) {
            c[k] = sigmoid(z[H + k]) * c[k] + sigmoid(z[k]) * Math.tanh(z[2 * H + k]);
            h[k] = sigmoid(z[3 * H + k]) * Math.tanh(c[k]);
            y[((n * q.steps + t) * D + d) * H + k] = h[k];
          }
        }
      }
    }
    if (layer + 1 < q.layers) lower.set(y, layer * y.length);
    x = y;
    input = D * H;
  }
  return { y: x, h_n, c_n, lower };
});

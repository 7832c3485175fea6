// One LSTM with the mistakes of public reports, each behind a name: node kernel.mjs NAME. Without a name it is right.
// The folder of lstm_xcheck.mjs is in LSTM_XCHECK_NODE.
const { Unsupported, serve } = await import(`${process.env.LSTM_XCHECK_NODE}/lstm_xcheck.mjs`);

const bug = process.argv[2] ?? "";
const sigmoid = (v) => 1 / (1 + Math.exp(-v));
const sixth = (v) => Math.min(1, Math.max(0, v / 6 + 0.5));
const gate = bug === "hard-gates" ? sixth : sigmoid;
const order = { "g-f-o-i": [3, 1, 0, 2], "i-o-f-g": [0, 2, 3, 1] }[bug] ?? [0, 1, 2, 3];
const coarse = (values) => { // 8 bits for a whole array, as a naive quantiser has them
  const top = values.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127;
  return values.map((v) => Math.round(v / top) * top);
};
const cut = (W, U, input, H) => { // rows of [W U], taken for rows of [U W]
  const rows = Array.from({ length: 4 * H }, (_, k) => [...W.subarray(k * input, (k + 1) * input), ...U.subarray(k * H, (k + 1) * H)]);
  return [rows.flatMap((row) => row.slice(H)), rows.flatMap((row) => row.slice(0, H))];
};

serve("torch", (q) => {
  if (q.flags & (64 | 128 | 256 | 512) || q.projection || q.directions > 1 || q.clips.some((clip) => clip) || `${q.activations}` !== "0,1,1") throw new Unsupported("one direction of a plain LSTM only");
  const H = q.hidden, rows = q.layers * q.batch * H;
  const h_n = new Float64Array(rows), c_n = new Float64Array(rows), z = new Float64Array(4 * H), lower = [];
  h_n.set(q.h0);
  c_n.set(q.c0);
  let x = q.x, input = q.input, at = 0;
  const take = (count) => q.weights.subarray(at, (at += count));
  for (let layer = 0; layer < q.layers; layer++) {
    const y = new Float64Array(q.batch * q.steps * H);
    let W = take(4 * H * input), U = take(4 * H * H);
    const b = take(q.bias ? 4 * H : 0), r = take(q.secondBias ? 4 * H : 0);
    if (bug === "eight-bits") [W, U] = [coarse(W), coarse(U)];
    if (bug === "joined-cut-wrong") [W, U] = cut(W, U, input, H);
    for (let n = 0; n < q.batch; n++) {
      const h = h_n.subarray((layer * q.batch + n) * H, (layer * q.batch + n + 1) * H), c = c_n.subarray((layer * q.batch + n) * H, (layer * q.batch + n + 1) * H);
      for (let s = 0; s < q.lengths[n]; s++) {
        const t = q.reverse ? q.lengths[n] - 1 - s : s;
        for (let k = 0; k < 4 * H; k++) {
          const row = k % H, block = order[(k - row) / H] * H + row;
          let sum = (b[block] ?? 0) + (bug === "second-bias-left-out" ? 0 : r[block] ?? 0);
          for (let j = 0; j < input; j++) sum += W[block * input + j] * x[(n * q.steps + t) * input + j];
          for (let j = 0; j < H; j++) sum += U[block * H + j] * h[j];
          z[k] = sum;
        }
        for (let k = 0; k < H; k++) {
          c[k] = gate(z[H + k]) * c[k] + gate(z[k]) * Math.tanh(z[2 * H + k]);
          h[k] = gate(z[3 * H + k]) * (bug === "no-output-tanh" ? c[k] : Math.tanh(c[k]));
          y[(n * q.steps + t) * H + k] = h[k];
        }
      }
    }
    if (layer + 1 < q.layers) for (const v of y) lower.push(v);
    x = y;
    input = H;
  }
  return { y: x, h_n, c_n, lower };
});

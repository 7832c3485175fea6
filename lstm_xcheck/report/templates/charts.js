
"use strict";
// Two digits, or nothing.
function short(value) {
  if (value === null || value === Infinity) {
    return value === null ? "" : "inf";
  }
  return value >= 1e4 ? value.toPrecision(2) : String(Number(value.toPrecision(2)));
}

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "line", "path", "text", "circle", "title"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const WIDE = 430;
const LEFT = 48;

// A logarithmic axis that holds every number but 0 and infinity.
function decades(values) {
  const logs = values.filter((value) => value > 0 && value < Infinity).map(Math.log10);
  const low = logs.length ? Math.floor(logs.reduce((a, b) => Math.min(a, b))) : -1;
  const high = logs.length ? Math.max(low + 1, Math.ceil(logs.reduce((a, b) => Math.max(a, b)))) : 0;
  const step = Math.ceil((high - low) / 6);
  const ticks = [];
  for (let power = low; power <= high; power += step) {
    ticks.push(power);
  }
  return { low, high, ticks, share: (value) => (Math.log10(value) - low) / (high - low) };
}

const figure = (drawing, caption) => make("figure", {}, drawing, make("figcaption", {}, caption));
const label = (x, y, words, anchor = "start") => make("text", { x, y, "text-anchor": anchor }, words);

function picture(wide, high, words, ...parts) {
  return make("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": words }, ...parts);
}

function stepLabels(steps, x, y) {
  const every = Math.ceil(steps.length / 12);
  return steps.flatMap((step, k) => (k % every ? [] : [label(x(k), y, String(step), "middle")]));
}

// Error and bound of each step; what is not finite stands above the axis, and zero below it.
function errorChart({ quantity, steps, error, bound, worst }) {
  const axis = decades([...error, ...bound]);
  const high = 190;
  const x = (k) => LEFT + 14 + (k * (WIDE - LEFT - 28)) / Math.max(1, steps.length - 1);
  const y = (value) => (value === null ? 12 : value === 0 ? high - 24 : high - 36 - axis.share(value) * (high - 60));
  const parts = axis.ticks.flatMap((power) => [
    make("line", { class: "grid", x1: LEFT, x2: WIDE, y1: y(10 ** power), y2: y(10 ** power) }),
    label(LEFT - 6, y(10 ** power) + 4, `1e${power}`, "end"),
  ]);
  const path = (values) => values.map((value, k) => `${k ? "L" : "M"}${x(k).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  parts.push(make("path", { class: "limit", d: path(bound) }), make("path", { class: "error", d: path(error) }));
  error.forEach((value, k) => {
    const inside = value !== null && (bound[k] === null || value <= bound[k]);
    const [found, allowed] = [value, bound[k]].map((given) => (given === null ? "not finite" : given));
    const dot = { cx: x(k), cy: y(value), r: steps.length > 32 ? 3 : 4, class: inside ? "inside" : "outside" };
    parts.push(make("circle", dot, make("title", {}, `step ${steps[k]}: error ${found}, bound ${allowed}`)));
  });
  parts.push(...stepLabels(steps, x, high - 4), label(LEFT - 6, high - 4, "step", "end"));
  const words = `${quantity} by step: the worst error (line) and its bound (dashed); `
    + `the worst element is ${quantity}[${worst.join(", ")}].`;
  return figure(picture(WIDE, high, words, ...parts), words);
}

// How far each gate would have to be off at each step.
function heatMap({ steps, gates, proven }) {
  const axis = decades(Object.values(gates).flat());
  const wide = (WIDE - LEFT) / steps.length;
  const parts = Object.entries(gates).flatMap(([gate, needs], line) => {
    const y = 4 + line * 30;
    const boxes = needs.map((need, k) => {
      const words = need === null ? "cannot explain this step" : need === 0 ? "nothing is wrong here" : `off by ${need}`;
      const box = { x: LEFT + k * wide, y, width: Math.max(1, wide - 1), height: 28, class: "outside" };
      box["fill-opacity"] = need ? (0.12 + 0.88 * axis.share(need)).toFixed(2) : 0;
      const cross = need === null ? [label(LEFT + (k + 0.5) * wide, y + 19, "×", "middle")] : [];
      return make("g", {}, make("rect", box), ...cross, make("title", {}, `gate ${gate}, step ${steps[k]}: ${words}`));
    });
    return [label(LEFT - 6, y + 19, `${proven.includes(gate) ? "▸ " : ""}${gate}`, "end"), ...boxes];
  });
  parts.push(...stepLabels(steps, (k) => LEFT + (k + 0.5) * wide, 140), label(LEFT - 6, 140, "step", "end"));
  const sure = proven.length ? ` Proven (▸): gate ${proven.join(" or ")}.` : "";
  const words = `Gate by step: how far its pre-activation alone would be off, from 1e${axis.low} (pale) to `
    + `1e${axis.high} (dark). ×: it cannot explain the step; blank: nothing is wrong. A wrong bias is a row of one shade.${sure}`;
  return figure(picture(WIDE, 146, words, ...parts), words);
}

// A strip for each adapter: its cells over the decades of error / bound, then those without such a number.
// Marks are open below, so that a score of 1 is left of the line.
function strips(adapters, cells) {
  const axis = decades([...cells.map((cell) => cell.score), 1]);
  const others = ["∞", "crashed", "unsupported", "other"];
  const marks = (axis.high - axis.low) * 8;
  const limit = -axis.low * 8;
  const wide = 480 / marks;
  const left = 78 + 7.5 * Math.max(0, ...adapters.map((name) => name.length));
  const x = (mark) => (mark < 0 ? left - 58 : mark < marks ? left + mark * wide : left + 510 + (mark - marks) * 90);
  const otherwise = (verdict, score) => (score === Infinity ? "∞" : others.includes(verdict) ? verdict : "other");
  const counts = adapters.map(() => new Map());
  for (const { adapter, verdict, score } of cells) {
    const mark = score === null || score === Infinity ? marks + others.indexOf(otherwise(verdict, score))
      : score === 0 ? -1 : Math.max(0, Math.ceil(axis.share(score) * marks - 1e-9) - 1);
    counts[adapter].set(mark, (counts[adapter].get(mark) || 0) + 1);
  }
  const bottom = 26 * adapters.length + 22;
  const parts = counts.flatMap((found, adapter) => {
    const most = Math.max(...found.values());
    const boxes = [...found].map(([mark, count]) => {
      const kind = mark < limit ? "inside" : mark < marks + 2 ? "outside" : "without";
      const box = { x: x(mark), y: 26 * adapter + 4, width: mark < 0 ? 24 : mark < marks ? Math.max(1, wide - 1) : 60, height: 18 };
      const title = make("title", {}, `${adapters[adapter]}: ${count} cells`);
      return make("rect", { ...box, class: kind, "fill-opacity": (0.25 + (0.75 * count) / most).toFixed(2) }, title);
    });
    return [label(0, 26 * adapter + 18, adapters[adapter]), ...boxes];
  });
  parts.push(make("line", { class: "limit", x1: x(limit), x2: x(limit), y1: 0, y2: bottom - 14 }));
  parts.push(label(x(-1) + 12, bottom, "0", "middle"));
  parts.push(...axis.ticks.map((power) => label(left + (power - axis.low) * 8 * wide, bottom, `1e${power}`, "middle")));
  parts.push(...others.map((name, k) => label(x(marks + k) + 30, bottom, name, "middle")));
  return picture(left + 860, bottom + 8, "error divided by bound of every cell, by adapter", ...parts);
}


"use strict";
(async () => {
  const byId = (id) => document.getElementById(id);
  const packed = Uint8Array.from(atob(byId("data").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = JSON.parse(await new Response(stream).text());
  const { rows, texts } = data;
  const total = (rows.case || []).length;
  const text = (name, k) => texts[name][rows[name][k]];
  const family = (k) => data.families[rows.case[k]];
  const number = (name, k) => (rows[name][k] === "inf" ? Infinity : rows[name][k]);
  const short = (value) => (value === null ? "" : value === Infinity ? "inf" : value >= 1e4 ? value.toPrecision(2) : String(Number(value.toPrecision(2))));

  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "rect", "line", "path", "text", "circle", "title"].includes(tag);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // --- the list: only the rows in sight are in the page ---
  const HEIGHT = 30;
  const AROUND = 15;
  const COLUMNS = [
    ["case", "case", "w1"], ["adapter", "adapter", "w2"], ["verdict", "verdict", "w2"], ["error / bound", "score", "n w3 more"],
    ["largest error", "error", "n w3 more"], ["seconds", "seconds", "n w3 more"], ["reason", "reason", "more"],
  ];
  const view = byId("view");
  const body = byId("rows").tBodies[0];
  const controls = [...document.querySelectorAll("[data-key]")];
  const state = { words: "", verdict: "", adapter: "", family: "", sort: "verdict", down: "", row: "" };
  const start = { ...state };
  const places = new Map(rows.case ? rows.case.map((_, k) => [`${text("adapter", k)}/${text("case", k)}`, k]) : []);
  let order = Array.from({ length: total }, (_, k) => k);
  let shown = order;
  let sorted = "";
  let drawn = "";
  let lower = null;

  function link(k, ...children) {
    const wanted = { ...state, row: `${text("adapter", k)}/${text("case", k)}` };
    return make("a", { href: `#${written(wanted)}`, "data-k": k }, ...children);
  }

  function written(wanted) {
    return new URLSearchParams(Object.entries(wanted).filter(([name, value]) => value !== start[name])).toString();
  }

  function keys(name) {
    if (name in texts && name !== "verdict") {
      const ranks = texts[name].map((_, k) => k).sort((a, b) => (texts[name][a] < texts[name][b] ? -1 : 1));
      const rank = [];
      ranks.forEach((k, place) => { rank[k] = place; });
      return rows[name].map((k) => rank[k]);
    }
    return rows[name].map((_, k) => number(name, k));
  }

  function sort() {
    if (sorted === state.sort + state.down || !total) {
      return;
    }
    const key = keys(state.sort);
    const sign = state.down ? -1 : 1;
    order.sort((a, b) => (key[a] === null) - (key[b] === null) || sign * (key[a] > key[b]) - sign * (key[a] < key[b]) || a - b);
    sorted = state.sort + state.down;
  }

  function fitting() {
    const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !lower) {
      lower = order.map(() => "");
      order.forEach((k) => {
        lower[k] = [text("case", k), text("adapter", k), text("verdict", k), family(k), text("reason", k)].join(" ").toLowerCase();
      });
    }
    return order.filter((k) => (!state.verdict || text("verdict", k) === state.verdict)
      && (!state.adapter || text("adapter", k) === state.adapter)
      && (!state.family || family(k) === state.family)
      && words.every((word) => lower[k].includes(word)));
  }

  function rowOf(place) {
    const k = shown[place];
    const verdict = text("verdict", k);
    const cells = [link(k, text("case", k)), text("adapter", k), verdict, short(number("score", k)), short(number("error", k)),
      short(number("seconds", k)), text("reason", k)];
    const made = make("tr", { "aria-rowindex": place + 2, class: places.get(state.row) === k ? "chosen" : "" });
    cells.forEach((cell, column) => {
      made.append(make("td", { class: COLUMNS[column][2] + (column === 2 ? ` ${verdict}` : ""), title: cell.textContent || cell }, cell));
    });
    return made;
  }

  function space(count) {
    const cell = make("td", { colspan: COLUMNS.length });
    cell.style.height = `${count * HEIGHT}px`;
    return make("tr", { class: "space", "aria-hidden": "true" }, cell);
  }

  function show(all = 0) {
    const first = all ? 0 : Math.max(0, Math.floor(view.scrollTop / HEIGHT / AROUND) * AROUND - AROUND);
    const last = Math.min(shown.length, all || first + Math.ceil(view.clientHeight / HEIGHT) + 3 * AROUND);
    const wanted = [first, last, sorted, written(state)].join();
    if (wanted === drawn) {
      return;
    }
    drawn = wanted;
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.k : null;
    const listed = [];
    for (let place = first; place < last; place += 1) {
      listed.push(rowOf(place));
    }
    body.replaceChildren(space(first), ...listed, space(all ? 0 : shown.length - last));
    if (focused !== null) {
      (body.querySelector(`[data-k="${focused}"]`) || view).focus({ preventScroll: true });
    }
  }

  function apply() {
    sort();
    shown = fitting();
    byId("rows").setAttribute("aria-rowcount", shown.length + 1);
    byId("shown").textContent = `${shown.length} of ${total} cells`;
    controls.forEach((control) => { if (control.value !== state[control.dataset.key]) { control.value = state[control.dataset.key]; } });
    for (const button of document.querySelectorAll("button[data-adapter]")) {
      button.setAttribute("aria-pressed", String(chosenBy(button)));
    }
    [...byId("rows").tHead.rows[0].cells].forEach((heading, column) => {
      heading.setAttribute("aria-sort", COLUMNS[column][1] !== state.sort ? "none" : state.down ? "descending" : "ascending");
    });
    view.scrollTop = Math.min(view.scrollTop, Math.max(0, shown.length * HEIGHT - view.clientHeight));
    show();
    detail();
  }

  function change(changes) {
    Object.assign(state, changes);
    history.replaceState(null, "", `#${written(state)}`);
    apply();
  }

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const known = Object.keys(start).filter((name) => given.has(name));
    if (!known.length) {
      const found = location.hash.length > 1 && byId(decodeURIComponent(location.hash.slice(1)));
      if (found && found.tagName === "DETAILS") {
        found.open = true;
      }
      return;
    }
    Object.assign(state, start, Object.fromEntries(known.map((name) => [name, given.get(name)])));
    state.sort = COLUMNS.some(([, name]) => name === state.sort) ? state.sort : start.sort;
    apply();
    if (places.has(state.row)) {
      reveal(shown.indexOf(places.get(state.row)));
      byId("cell").scrollIntoView({ block: "nearest" });
      byId("cell").focus({ preventScroll: true });
    }
  }

  function reveal(place) {
    const top = place * HEIGHT;
    if (place >= 0 && (top < view.scrollTop || top > view.scrollTop + view.clientHeight - 3 * HEIGHT)) {
      view.scrollTop = Math.max(0, top - view.clientHeight / 3);
    }
    show();
  }

  function detail() {
    const panel = byId("cell");
    const k = places.get(state.row);
    panel.hidden = k === undefined;
    if (panel.hidden) {
      return;
    }
    const verdict = text("verdict", k);
    const worst = rows.worst[k] && `${text("quantity", k)}[${rows.worst[k]}]`;
    const facts = [["worst element", worst || text("quantity", k)], ["error / bound", short(number("score", k))], ["largest error", short(number("error", k))],
      ["kind of case", family(k)], ["seconds", short(number("seconds", k))]].filter(([, value]) => value);
    const parts = [make("h3", {}, make("span", { class: verdict }, `${text("adapter", k)}: ${verdict}`), ` ${text("case", k)}`)];
    parts.push(make("p", {}, ...facts.flatMap(([name, value]) => [make("b", {}, name), ` ${value}   `])));
    parts.push(make("p", { class: "reason" }, text("reason", k)));
    const command = data.commands[rows.adapter[k]].replace("{}", () => text("case", k));
    if (command && !/\s/.test(text("case", k))) {
      parts.push(make("div", { class: "code" }, make("pre", { tabindex: 0 }, command), make("button", { type: "button", class: "copy" }, "copy")));
    }
    if (rows.diagnosis[k] >= 0) {
      parts.push(make("p", {}, make("a", { href: `#diagnosis-${rows.diagnosis[k]}` }, "its diagnosis")));
    }
    panel.className = `group ${verdict}`;
    panel.replaceChildren(...parts);
  }

  function chosenBy(button) {
    const wanted = ["adapter", "family", "verdict"];
    return wanted.some((name) => button.dataset[name]) && wanted.every((name) => state[name] === button.dataset[name]);
  }

  // --- charts ---
  const WIDE = 430;
  const LEFT = 48;

  function decades(values) {
    const logs = values.filter((value) => value > 0 && value < Infinity).map(Math.log10);
    const low = logs.length ? Math.floor(Math.min(...logs)) : -1;
    const high = logs.length ? Math.max(low + 1, Math.ceil(Math.max(...logs))) : 0;
    const step = Math.ceil((high - low) / 6);
    const ticks = [];
    for (let power = low; power <= high; power += step) {
      ticks.push(power);
    }
    return { low, high, ticks, share: (value) => (Math.log10(value) - low) / (high - low) };
  }

  const figure = (drawing, caption) => make("figure", {}, drawing, make("figcaption", {}, caption));
  const picture = (height, label, ...parts) => make("svg", { viewBox: `0 0 ${WIDE} ${height}`, role: "img", "aria-label": label }, ...parts);
  const label = (x, y, words, anchor = "start") => make("text", { x, y, "text-anchor": anchor }, words);

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
      const words = `step ${steps[k]}: error ${value === null ? "not finite" : value}, bound ${bound[k] === null ? "not finite" : bound[k]}`;
      parts.push(make("circle", { cx: x(k), cy: y(value), r: steps.length > 32 ? 3 : 4, class: inside ? "inside" : "outside" }, make("title", {}, words)));
    });
    parts.push(...stepLabels(steps, x, high - 4), label(LEFT - 6, high - 4, "step", "end"));
    const words = `${quantity} by step: the worst error (line) and its bound (dashed); the worst element is ${quantity}[${worst.join(", ")}]`;
    return figure(picture(high, words, ...parts), `${words}.`);
  }

  function heatMap({ steps, gates, proven }) {
    const axis = decades(Object.values(gates).flat());
    const wide = (WIDE - LEFT) / steps.length;
    const parts = Object.entries(gates).flatMap(([gate, needs], line) => {
      const y = 4 + line * 30;
      const boxes = needs.map((need, k) => {
        const words = need === null ? "no change of it explains this step" : need === 0 ? "nothing is wrong here" : `off by ${need}`;
        const box = { x: LEFT + k * wide, y, width: Math.max(1, wide - 1), height: 28, class: "outside" };
        box["fill-opacity"] = need ? (0.12 + 0.88 * axis.share(need)).toFixed(2) : 0;
        const cross = need === null ? [label(LEFT + (k + 0.5) * wide, y + 19, "×", "middle")] : [];
        return make("g", {}, make("rect", box), ...cross, make("title", {}, `gate ${gate}, step ${steps[k]}: ${words}`));
      });
      return [label(LEFT - 6, y + 19, `${proven.includes(gate) ? "▸ " : ""}${gate}`, "end"), ...boxes];
    });
    parts.push(...stepLabels(steps, (k) => LEFT + (k + 0.5) * wide, 140), label(LEFT - 6, 140, "step", "end"));
    const sure = proven.length ? ` Proven (▸): gate ${proven.join(" or ")}.` : "";
    const words = `Gate by step: how far its pre-activation alone would be off, from 1e${axis.low} (pale) to 1e${axis.high} (dark). `
      + `×: it cannot explain the step; blank: nothing is wrong. A wrong bias is a row of one shade.${sure}`;
    return figure(picture(146, words, ...parts), words);
  }

  function drawCharts(details) {
    const place = details.querySelector(".charts");
    const profile = data.profiles[details.dataset.diagnosis];
    if (!place || place.firstChild || !profile.steps) {
      return;
    }
    place.append(errorChart(profile), ...(Object.keys(profile.gates).length ? [heatMap(profile)] : []));
  }

  // A strip for each adapter: its cells over the decades of error / bound, then those without a number.
  function strips() {
    const scores = rows.score ? rows.score.map((_, k) => number("score", k)) : [];
    const axis = decades([...scores, 1]);
    const others = ["∞", "crashed", "unsupported", "other"];
    const from = 150;
    const marks = (axis.high - axis.low) * 8;
    const wide = 500 / marks;
    const right = from + 530;
    const x = (mark) => (mark < 0 ? from - 8 : mark > marks ? right + 30 + (mark - marks - 1) * 90 : from + 30 + mark * wide);
    const counts = texts.adapter.map(() => new Map());
    scores.forEach((score, k) => {
      const verdict = text("verdict", k);
      const mark = score === 0 ? -1 : score !== null && score < Infinity ? Math.min(marks - 1, Math.floor(axis.share(score) * marks))
        : marks + 1 + (score === Infinity ? 0 : Math.max(1, others.indexOf(verdict) < 0 ? 3 : others.indexOf(verdict)));
      counts[rows.adapter[k]].set(mark, (counts[rows.adapter[k]].get(mark) || 0) + 1);
    });
    const line = x(-axis.low * 8);
    const bottom = 26 * counts.length + 14;
    const parts = counts.flatMap((found, adapter) => {
      const most = Math.max(...found.values());
      const boxes = [...found].map(([mark, count]) => {
        const bad = mark > marks ? (mark === marks + 1 || mark === marks + 2 ? "outside" : "without") : mark >= -axis.low * 8 ? "outside" : "inside";
        const box = { x: x(mark), y: 26 * adapter + 4, width: mark < 0 ? 24 : mark > marks ? 60 : Math.max(1, wide - 1), height: 18, class: bad };
        return make("rect", { ...box, "fill-opacity": (0.25 + (0.75 * count) / most).toFixed(2) }, make("title", {}, `${texts.adapter[adapter]}: ${count} cells`));
      });
      return [label(0, 26 * adapter + 18, texts.adapter[adapter]), ...boxes];
    });
    const ticks = axis.ticks.map((power) => label(x((power - axis.low) * 8), bottom + 8, `1e${power}`, "middle"));
    ticks.push(label(from + 4, bottom + 8, "0", "middle"), ...others.map((name, k) => label(x(marks + 1 + k) + 30, bottom + 8, name, "middle")));
    parts.push(make("line", { class: "limit", x1: line, x2: line, y1: 0, y2: bottom - 6 }), ...ticks);
    const drawing = picture(bottom + 14, "error divided by bound of every cell, by adapter", ...parts);
    drawing.setAttribute("viewBox", `0 0 ${right + 400} ${bottom + 14}`);
    byId("strips").append(drawing);
  }

  // --- events ---
  COLUMNS.forEach(([words, name, kind]) => {
    const button = make("button", { type: "button" }, words);
    button.addEventListener("click", () => change({ sort: name, down: state.sort === name && !state.down ? "1" : "" }));
    byId("rows").tHead.rows[0].append(make("th", { scope: "col", class: kind }, button));
  });
  for (const control of controls) {
    const name = control.dataset.key;
    const values = name === "family" ? [...new Set(data.families)] : texts[name] || [];
    const used = name === "verdict" ? values.filter((_, k) => (rows.verdict || []).includes(k)) : values;
    used.forEach((value) => { if (control.tagName === "SELECT") { control.append(make("option", { value }, value)); } });
    control.addEventListener("input", () => change({ [name]: control.value }));
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    const row = event.target.closest("[data-row]");
    if (row) {
      event.preventDefault();
      location.hash = written({ ...start, row: row.dataset.row });
    } else if (button && button.classList.contains("copy")) {
      const source = button.previousElementSibling;
      getSelection().selectAllChildren(source);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "copied";
      } catch {
        button.textContent = "selected";
      }
    } else if (button && button.dataset.adapter !== undefined) {
      const { adapter, family: kind, verdict } = chosenBy(button) ? start : button.dataset;
      change({ words: "", adapter, family: kind, verdict, row: "" });
      byId("cells").scrollIntoView({ block: "nearest" });
    }
  });
  view.addEventListener("scroll", () => show());
  view.addEventListener("keydown", (event) => {
    const page = Math.floor(view.clientHeight / HEIGHT) - 2;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -total, End: total };
    if (!(event.key in moves) || !shown.length) {
      return;
    }
    event.preventDefault();
    const now = document.activeElement.dataset.k === undefined ? -1 : shown.indexOf(Number(document.activeElement.dataset.k));
    const place = Math.min(shown.length - 1, Math.max(0, now + moves[event.key]));
    reveal(place);
    body.querySelector(`[data-k="${shown[place]}"]`).focus({ preventScroll: true });
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.dataset.diagnosis) {
      drawCharts(event.target);
    }
  }, true);
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; drawCharts(details); });
    show(500);
  });
  addEventListener("afterprint", () => show());
  addEventListener("resize", () => show());
  addEventListener("hashchange", read);
  document.querySelectorAll("details[open]").forEach(drawCharts);
  apply();
  strips();
  read();
  document.body.dataset.ready = "1";
})();


(async () => {
  const byId = (id) => document.getElementById(id);
  if (!("DecompressionStream" in window)) {
    byId("shown").textContent = "This browser is too old to list cells; the JSON report has them.";
    return;
  }
  const packed = Uint8Array.from(atob(byId("data").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = JSON.parse(await new Response(stream).text());
  const { rows, texts } = data;
  const total = (rows.case || []).length;
  const text = (name, k) => texts[name][rows[name][k]];
  const family = (k) => data.families[rows.case[k]];
  const number = (name, k) => (rows[name][k] === "inf" ? Infinity : rows[name][k]);

  // --- the list: only the rows in sight are in the page ---
  const HEIGHT = 30;
  const AROUND = 15;
  const COLUMNS = [
    ["case", "case", "w1"], ["adapter", "adapter", "w2"], ["verdict", "verdict", "w2"],
    ["error / bound", "score", "n w3 more"], ["largest error", "error", "n w3 more"], ["seconds", "seconds", "n w3 more"],
    ["reason", "reason", "more"],
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
      const searched = (k) => [...["case", "adapter", "verdict", "reason"].map((name) => text(name, k)), family(k)];
      lower = rows.case.map((_, k) => searched(k).join(" ").toLowerCase());
    }
    return order.filter((k) => (!state.verdict || text("verdict", k) === state.verdict)
      && (!state.adapter || text("adapter", k) === state.adapter)
      && (!state.family || family(k) === state.family)
      && words.every((word) => lower[k].includes(word)));
  }

  function rowOf(place) {
    const k = shown[place];
    const verdict = text("verdict", k);
    const cells = COLUMNS.map(([, name]) => (name in texts ? text(name, k) : short(number(name, k))));
    const made = make("tr", { "aria-rowindex": place + 2, class: places.get(state.row) === k ? "chosen" : "" });
    cells.forEach((cell, column) => {
      const kind = COLUMNS[column][2] + (column === 2 ? ` ${verdict}` : "");
      made.append(make("td", { class: kind, title: cell }, column ? cell : link(k, cell)));
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
    for (const control of controls.filter((each) => each.value !== state[each.dataset.key])) {
      control.value = state[control.dataset.key];
    }
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
    const facts = [
      ["worst element", worst || text("quantity", k)], ["error / bound", short(number("score", k))],
      ["largest error", short(number("error", k))], ["kind of case", family(k)], ["seconds", short(number("seconds", k))],
    ].filter(([, value]) => value);
    const title = make("span", { class: verdict }, `${text("adapter", k)}: ${verdict}`);
    const parts = [make("h3", {}, title, ` ${text("case", k)}`)];
    parts.push(make("p", {}, ...facts.flatMap(([name, value]) => [make("b", {}, name), ` ${value}   `])));
    parts.push(make("p", { class: "reason" }, text("reason", k)));
    const command = data.commands[rows.adapter[k]].replace("{}", () => text("case", k));
    if (command && !/\s/.test(text("case", k))) {
      const copy = make("button", { type: "button", class: "copy" }, "copy");
      parts.push(make("div", { class: "code" }, make("pre", { tabindex: 0 }, command), copy));
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

  function drawCharts(details) {
    const place = details.querySelector(".charts");
    const profile = data.profiles[details.dataset.diagnosis];
    if (!place || place.firstChild || !profile.steps) {
      return;
    }
    place.append(errorChart(profile), ...(Object.keys(profile.gates).length ? [heatMap(profile)] : []));
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
    if (control.tagName === "SELECT") {
      control.append(...used.map((value) => make("option", { value }, value)));
    }
    control.addEventListener("input", () => change({ [name]: control.value }));
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    const row = event.target.closest("[data-row]");
    if (row) {
      event.preventDefault();
      history.pushState(null, "", `#${written({ ...start, row: row.dataset.row })}`);
      read();
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
    document.querySelectorAll("details[data-diagnosis]").forEach((details) => { details.open = true; drawCharts(details); });
    show(500);
  });
  addEventListener("afterprint", () => show());
  addEventListener("resize", () => show());
  addEventListener("hashchange", read);
  document.querySelectorAll("details[open]").forEach(drawCharts);
  apply();
  const cells = order.map((k) => ({ adapter: rows.adapter[k], verdict: text("verdict", k), score: number("score", k) }));
  byId("strips").append(strips(texts.adapter, cells));
  read();
  document.body.dataset.ready = "1";
})();

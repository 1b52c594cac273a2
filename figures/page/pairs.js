/* Pair by pair: who moves, how far, and who moves the wrong way. */

const NO_PAIRS = "This page carries no single pairs of this steer; sweeps.parquet holds them.";

/** Every pair at the slider's multiplier: its log-odds, how they have changed, and whether in the steer's own direction. */
function pairRows(view) {
  const { steer, index } = view;
  if (!steer.values) return [];
  const { preference, utility, wrong } = steer.values, difference = (one, other) => (one === null || other === null ? null : one - other);
  return view.study.pairs.id.map((id, pair) => {
    const change = difference(preference[index][pair], preference[steer.zero][pair]);
    return {
      id, pair, change, share: wrong[pair],
      query: view.study.pairs.query[pair], positive: view.study.pairs.positive[pair], negative: view.study.pairs.negative[pair],
      before: preference[steer.zero][pair], now: preference[index][pair],
      lost: difference(utility[steer.zero][pair], utility[index][pair]),
      wrongWay: change * Math.sign(view.multiplier) < 0,
    };
  });
}

/** A point for each pair, from the least to the largest change of preference. */
function effectsPanel(view, panel) {
  const note = panel.querySelector(".note");
  let source = null, order = [];
  return {
    async draw() {
      source = null;
      if (!view.steer.values) return empty(panel, NO_PAIRS);
      const figure = newFigure({ x: "pairs, sorted", y: "change of preference (nats)", height: 330 });
      drawZero(figure);
      source = sourceOf({ x: [], change: [], shade: [], marker: [], size: [] });
      const dots = figure.scatter({
        x: { field: "x" }, y: { field: "change" }, source, marker: { field: "marker" }, size: { field: "size" },
        fill_color: { field: "shade" }, line_color: null, nonselection_alpha: 1, hover_line_color: colour("ink"),
      });
      figure.add_tools(new Bokeh.HoverTool({ tooltips: null, mode: "vline", renderers: [dots] }));
      source.inspect.connect(() => {
        const [point] = source.inspected.indices;
        if (point !== undefined) view.choose(order[point]);
      });
      whenTapped(source, (point) => view.choose(order[point]));
      this.move();
      await put(panel, figure, this.words());
    },
    move() {
      if (!source) return;
      const rows = pairRows(view).filter((row) => row.change !== null).sort((one, other) => one.change - other.change);
      order = rows.map((row) => row.pair);
      const [right, wrong, chosen] = ["preference", "refuted", "ink"].map(colour);
      source.data = {
        x: rows.map((_, rank) => rank + 1),
        change: rows.map((row) => row.change),
        shade: rows.map((row) => (row.pair === view.pair ? chosen : row.wrongWay ? wrong : right)),
        marker: rows.map((row) => (row.wrongWay ? "triangle" : "circle")),
        size: rows.map((row) => (row.pair === view.pair ? 11 : row.wrongWay ? 7 : 5)),
      };
      note.textContent = `${this.words()} Hover or tap a point to read its pair.`;
      describe(panel, this.words());
    },
    words() {
      const rows = pairRows(view), wrong = rows.filter((row) => row.wrongWay).length;
      if (view.multiplier === 0) return "Nothing is steered at m = 0.";
      return `At m = ${shown(view.multiplier)}, ${wrong} of ${rows.length} pairs move the wrong way${wrong ? " (triangles)" : ""}.`;
    },
  };
}

/** One pair: its texts, and its own preference over the sweep beside the mean of all. */
function pairPanel(view, panel) {
  const card = panel.querySelector(".card");
  let cursor = null, own = null;
  return {
    async draw() {
      const { steer } = view;
      cursor = own = null;
      if (!steer.values) return empty(panel, NO_PAIRS), say(card, NO_PAIRS);
      const figure = overMultiplier(view, "preference (nats)");
      figure.height = 200;
      const x = view.places(steer.multipliers);
      drawBand(figure, { ...steer.preference, x }, "soft", { points: false });
      own = sourceOf({ x, y: x });
      figure.line({ x: { field: "x" }, y: { field: "y" }, source: own, line_color: colour("preference"), line_width: 2 });
      cursor = drawCursor(figure);
      this.move();
      await put(panel, figure, this.words());
    },
    words() {
      return `Preference of pair ${view.study.pairs.id[view.pair]} against the multiplier, beside the mean of all pairs.`;
    },
    move() {
      const { steer, pair } = view;
      if (!steer.values) return;
      const row = pairRows(view)[pair];
      if (own) own.data = { x: own.data.x, y: numbers(steer.values.preference.map((values) => values[pair])) };
      cursor?.to(view.place(view.multiplier), [row.now]);
      describe(panel, this.words());
      const item = (name, value) => [make("dt", {}, name), make("dd", {}, value)];
      card.replaceChildren(make("dl", {},
        ...item("Pair", row.id),
        ...item("Query", row.query || "–"),
        ...item("For", row.positive.trim() || "–"),
        ...item("Against", row.negative.trim() || "–"),
        ...item("Preference", `${signed(row.before)} nats at zero, ${signed(row.now)} nats at m = ${shown(view.multiplier)}`),
        ...item("Utility lost", `${signed(row.lost)} nats`),
        ...item("Wrong way", `at ${Math.round(100 * row.share)} % of the multipliers`)));
    },
  };
}

/** The same as a table, to be searched and sorted. */
function pairTable(view, container, find, onlyWrong) {
  const choose = (row) => {
    const button = make("button", { type: "button", class: "link" }, row.id);
    button.addEventListener("click", () => {
      view.choose(row.pair);
      // The rows are made anew: the reader's place is the same pair in them.
      container.querySelector(".chosen button")?.focus();
    });
    return button;
  };
  const number = (label, name) => ({ label, number: true, value: (row) => row[name], show: (row) => signed(row[name]) });
  const text = (label, name, wide) => ({ label, wide, value: (row) => row[name], show: (row) => clipped(row[name].trim()) });
  const table = sortable({
    caption: "Pairs at the slider's multiplier (nats)",
    limit: 12,
    mark: (row) => (row.pair === view.pair ? "chosen" : null),
    columns: [
      { label: "Pair", value: (row) => row.id, show: choose },
      text("Query", "query"), text("For", "positive", true), text("Against", "negative", true),
      number("At zero", "before"), number("At m", "now"), number("Change", "change"), number("Utility lost", "lost"),
      {
        label: "Wrong way", number: true, value: (row) => row.share,
        show: (row) => make("span", { class: row.wrongWay ? "wrong-way" : null }, `${row.wrongWay ? "▲ " : ""}${Math.round(100 * row.share)} %`),
      },
    ],
  });
  const move = () => {
    const sought = find.value.trim().toLowerCase();
    table.update(pairRows(view).filter((row) => (!onlyWrong.checked || row.wrongWay) &&
      [row.id, row.query, row.positive, row.negative].some((words) => words.toLowerCase().includes(sought))));
  };
  find.addEventListener("input", move);
  onlyWrong.addEventListener("change", move);
  container.replaceChildren(table.element);
  table.order(6, -1);
  return {
    async draw() {
      move();
    },
    move,
  };
}

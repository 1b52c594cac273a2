/* The panels that follow the slider: curves, distance and map. A panel is {draw, move}. */

const AXES = { multiplier: "multiplier m", shift: "relative shift ‖shift‖/‖h‖, with the sign of m", even: "multiplier m, evenly by steps of the sweep" };

/** What is looked at now: steer, multiplier and axis, and where a multiplier stands on that axis. */
function viewOf(study) {
  return {
    study, steer: study.steers[0], beside: null, index: 0, axis: "multiplier", pair: 0,
    get multiplier() {
      return this.steer.multipliers[this.index];
    },
    /** Where one of the steer's multipliers stands on the axis; another steer has multipliers of its own. */
    place(multiplier, steer = this.steer) {
      const { multipliers, relative_shift: shift } = steer;
      const places = {
        multiplier: multipliers,
        shift: multipliers.map((m, i) => Math.sign(m) * shift[i]),
        even: multipliers.map((_, i) => i),
      };
      return interpolate(multiplier, multipliers, places[this.axis]);
    },
    places(multipliers, steer = this.steer) {
      return multipliers.map((m) => this.place(m, steer));
    },
    /** Of the steer beside this one, the multiplier whose relative shift is nearest, on the same side. */
    get besideIndex() {
      const { relative_shift: shift, multipliers: own } = this.steer, { relative_shift: other, multipliers } = this.beside;
      const at = Math.sign(own[this.index]) * shift[this.index];
      const away = multipliers.map((m, i) => Math.abs(Math.sign(m) * other[i] - at));
      return away.indexOf(Math.min(...away));
    },
    /** Which of these multipliers is fewest steps of the sweep away. */
    nearest(multipliers) {
      const steps = this.steer.multipliers.map((_, i) => i);
      const away = multipliers.map((m) => Math.abs(interpolate(m, this.steer.multipliers, steps) - this.index));
      return multipliers[away.indexOf(Math.min(...away))];
    },
    /** The rows that are of this steer in the first of these tables that has any; null where none has. */
    rowsOf(...names) {
      for (const table of names.map((name) => tableOf(this.study, name)).filter(Boolean)) {
        const rows = rowsWhere(table, "key", (key) => key === this.steer.key);
        if (rows.length) return { table, rows };
      }
      return null;
    },
  };
}

/** A figure over the multiplier. */
function overMultiplier(view, y) {
  const figure = newFigure({ x: AXES[view.axis], y });
  if (view.axis === "even") {
    const multipliers = view.steer.multipliers, last = multipliers.length - 1;
    const ticks = [...new Set([0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * last)).concat(view.steer.zero))];
    figure.xaxis.ticker = new Bokeh.FixedTicker({ ticks });
    figure.xaxis.major_label_overrides = new Map(ticks.map((tick) => [tick, shown(multipliers[tick], 2)]));
  }
  drawZero(figure, "height", view.place(0));
  return figure;
}

/** The useful range, shaded. */
function shade(view, figure) {
  const [low, high] = view.places(view.steer.useful);
  figure.add_layout(new Bokeh.BoxAnnotation({
    left: low, right: high, fill_color: colour("soft"), fill_alpha: 0.1, line_color: colour("soft"), line_alpha: 0.35, level: "underlay", propagate_hover: true,
  }));
}

/** What stands at each point of a curve. */
function toldOf(steer, quantity) {
  const { mean, low, high } = steer[quantity];
  return steer.multipliers.map((m, i) =>
    `${quantity} ${estimated(mean[i], low[i], high[i])} nats at m = ${shown(m)}, relative shift ${shown(steer.relative_shift[i])}`);
}

/** Preference or utility: measured, fitted, and predicted while held out. */
function curvePanel(view, panel, quantity) {
  let cursor = null;
  return {
    async draw() {
      const { steer } = view, curve = steer[quantity], note = panel.querySelector(".note");
      if (!curve.n) return empty(panel, `${quantity} is defined for no pair at every multiplier.`);
      const figure = overMultiplier(view, "log-odds (nats)"), x = view.places(steer.multipliers), { beside } = view;
      shade(view, figure);
      if (beside) {
        const other = { ...beside[quantity], x: view.places(beside.multipliers, beside) };
        drawBand(figure, other, "soft", { hollow: true, told: toldOf(beside, quantity) });
      }
      // Below the points, as in the figures: seen as far as a prediction was not met.
      if (curve.fit?.ok) figure.scatter(x, numbers(curve.fit.held_out), { marker: "dash", size: 10, line_width: 1.2, line_color: colour(quantity) });
      const source = drawBand(figure, { ...curve, x }, quantity, { told: toldOf(steer, quantity) });
      let words = "no fit in this study";
      if (curve.fit?.ok) {
        figure.line(view.places(curve.fit.x), numbers(curve.fit.y), { line_color: colour(quantity), line_width: 1.5 });
        const { held_out_r_squared: inside, end_error: ends } = curve.fit.score;
        words = `line: the paper's curve; dashes: predicted while held out, R² ${shown(inside, 3)} but for both ends, which miss by ${shown(ends, 2)} nats`;
      } else if (curve.fit) words = `the fit ended as “${curve.fit.status}”`;
      note.textContent = `Points: mean over ${curve.n} pairs, band: 95 %; ${words}. Shaded: useful.`;
      if (beside) note.prepend(...legend([[steer.name, quantity, "circle"], [beside.name, "soft", "ring"]]).childNodes, make("br"));
      cursor = drawCursor(figure);
      whenTapped(source, (index) => view.go(index));
      this.move();
      await put(panel, figure, this.words());
    },
    move() {
      const { steer, index } = view;
      cursor?.to(view.place(view.multiplier), [steer[quantity].mean[index]]);
      describe(panel, this.words());
    },
    words() {
      const { steer, index } = view, curve = steer[quantity], zero = curve.mean[steer.zero];
      return `${quantity} against the multiplier: ${signed(zero)} nats at zero, and at m = ${shown(view.multiplier)} ` +
        `${estimated(curve.mean[index], curve.low[index], curve.high[index], true)} nats.`;
    },
  };
}

/** What the steer does to other concepts, over the multiplier. */
function othersPanel(view, panel) {
  const note = panel.querySelector(".note");
  return {
    async draw() {
      const found = view.rowsOf("side_effects");
      if (!found) return empty(panel, "No other concept was measured (mechsteer study --other-pairs).");
      const { table, rows } = found, get = (name) => (row) => table.get(name)[row], looks = view.study.looks.concepts;
      const figure = overMultiplier(view, "change of preference (nats)");
      shade(view, figure);
      drawZero(figure);
      const names = [...new Set(rows.map(get("measured_on")))];
      names.forEach((name) => {
        const [shade, marker] = looks[name];
        const own = rows.filter((row) => table.get("measured_on")[row] === name).sort((a, b) => get("multiplier")(a) - get("multiplier")(b));
        const x = view.places(own.map(get("multiplier"))), mean = own.map(get("preference_change"));
        const told = own.map((row) => `${name}: ${signed(get("preference_change")(row))} nats at m = ${shown(get("multiplier")(row))}`);
        drawBand(figure, { x, mean, low: mean, high: mean }, shade, { marker, told });
        figure.line(x, numbers(mean), { line_color: colour(shade) });
      });
      note.textContent = "Change of preference on pairs of each concept since m = 0.";
      note.prepend(...legend(names.map((name) => [name, ...looks[name]])).childNodes, make("br"));
      await put(panel, figure, note.textContent);
    },
    move() {},
  };
}

/** Growth of the distance to the manifold, by layer. */
function distancePanel(view, panel) {
  const choice = panel.querySelector("select"), note = panel.querySelector(".note");
  let cursor = null, lines = [];
  /** The distance in words, with its unit, as the figures have it. */
  const measured = () => view.study.distances[choice.value] ?? choice.value;
  choice.addEventListener("change", () => panelOf.draw());
  const panelOf = {
    async draw() {
      const found = view.rowsOf("claims/off_manifold-distance", "distance");
      cursor = null;
      choice.hidden = !found;
      if (!found) return empty(panel, view.steer.not_followed);
      const { table, rows } = found, get = (name) => (row) => table.get(name)[row];
      const kinds = [...new Set(rows.map(get("distance")))];
      const before = choice.value;
      choice.replaceChildren(...kinds.map((kind) => make("option", { value: kind }, kind)));
      if (kinds.includes(before)) choice.value = before;
      const ofKind = rows.filter((row) => table.get("distance")[row] === choice.value);
      const layers = [...new Set(ofKind.map(get("layer")))].sort((a, b) => a - b);
      const figure = overMultiplier(view, `growth ${measured()}`);
      lines = layers.map((layer) => {
        const own = ofKind.filter((row) => table.get("layer")[row] === layer);
        const points = own.map((row) => ["multiplier", "growth", "low", "high"].map((name) => table.get(name)[row]));
        points.push([0, 0, 0, 0]);
        points.sort((a, b) => a[0] - b[0]);
        const [multipliers, mean, low, high] = [0, 1, 2, 3].map((column) => points.map((point) => point[column]));
        const [shade] = view.study.looks.layers[layer];
        drawBand(figure, { x: view.places(multipliers), mean, low, high }, shade, { points: false });
        return { layer, multipliers, mean, low, high, shade };
      });
      cursor = drawCursor(figure);
      this.move();
      await put(panel, figure, this.words());
    },
    move() {
      if (!cursor) return;
      const at = view.nearest(lines[0].multipliers);
      cursor.to(view.place(at), lines.map((line) => line.mean[line.multipliers.indexOf(at)]));
      const read = view.steer.followed, from = read ? `${read.tokens} tokens of ${read.pairs} pairs` : "tokens";
      note.textContent = `${this.words()} From where ${from} are unsteered, mean over pairs with 95 % intervals.`;
      note.prepend(...legend(lines.map((line) => [`layer ${line.layer}`, line.shade, "square"])).childNodes, make("br"));
      describe(panel, this.words());
    },
    words() {
      if (!lines.length) return "No distances.";
      const at = view.nearest(lines[0].multipliers);
      const read = lines.map((line) => {
        const i = line.multipliers.indexOf(at);
        return `layer ${line.layer} ${estimated(line.mean[i], line.low[i], line.high[i])}`;
      });
      return `At m = ${shown(at)}, the nearest that was read, growth ${measured()}: ${read.join("; ")}.`;
    },
  };
  return panelOf;
}

/** The map: unsteered tokens in grey, and the way of some tokens from m = 0 to the slider's multiplier. */
function mapPanel(view, panel) {
  const note = panel.querySelector(".note");
  let ways = null, paths = null, ends = null;
  return {
    async draw() {
      const found = view.rowsOf("claims/activation_map-place", "places");
      ways = null;
      if (!found) return empty(panel, view.steer.not_followed);
      const { table, rows } = found, background = { x: [], y: [] };
      const [tokens, xs, ys, ms, losses] = ["token", "x", "y", "multiplier", "utility_loss"].map(table.get);
      ways = new Map();
      for (const row of rows) {
        if (tokens[row] < 0) {
          background.x.push(xs[row]);
          background.y.push(ys[row]);
        } else {
          if (!ways.has(tokens[row])) ways.set(tokens[row], []);
          ways.get(tokens[row]).push({ m: ms[row], x: xs[row], y: ys[row], loss: losses[row] });
        }
      }
      for (const way of ways.values()) way.sort((one, other) => Math.abs(one.m) - Math.abs(other.m));
      const lost = [...ways.values()].flat().map((point) => point.loss).filter((loss) => loss !== null).sort((a, b) => a - b);
      const palette = view.study.looks.scale.map(colour);
      const mapper = new Bokeh.LinearColorMapper({ palette, low: 0, high: Math.max(lost[Math.floor(0.9 * lost.length)] ?? 1, 1e-6) });
      const figure = newFigure({ x: "", y: "", ticks: false, height: 290 });
      figure.scatter(background.x, background.y, { size: 3, color: colour("faint"), line_color: null });
      paths = sourceOf({ xs: [], ys: [] });
      ends = sourceOf({ x: [], y: [], loss: [] });
      figure.multi_line({ xs: { field: "xs" }, ys: { field: "ys" }, source: paths, line_color: colour("soft"), line_width: 0.7, line_alpha: 0.6 });
      figure.scatter({
        x: { field: "x" }, y: { field: "y" }, source: ends, size: 8, line_color: colour("ink"), line_width: 0.7,
        fill_color: { field: "loss", transform: mapper },
      });
      const bar = new Bokeh.ColorBar({
        color_mapper: mapper, width: 8, title: "nats lost", background_fill_color: null, label_standoff: 6, padding: 4,
        title_text_color: colour("soft"), major_label_text_color: colour("soft"), title_text_font: FONT, major_label_text_font: FONT,
        title_text_font_style: "normal", title_text_font_size: "11px",
      });
      figure.add_layout(bar, "right");
      this.move();
      await put(panel, figure, this.words());
    },
    at() {
      return view.nearest([...new Set([...ways.values()][0].map((point) => point.m))]);
    },
    move() {
      if (!ways) return;
      const at = this.at();
      const taken = [...ways.values()].map((way) => way.filter((point) => point.m * at >= 0 && Math.abs(point.m) <= Math.abs(at)));
      paths.data = { xs: taken.map((way) => way.map((point) => point.x)), ys: taken.map((way) => way.map((point) => point.y)) };
      const last = taken.map((way) => way[way.length - 1]);
      ends.data = { x: last.map((point) => point.x), y: last.map((point) => point.y), loss: numbers(last.map((point) => point.loss)) };
      note.textContent = `${this.words()} A map shows what an activation resembles, not how far away it is.`;
      describe(panel, this.words());
    },
    words() {
      if (!ways) return "No map.";
      const lost = ends.data.loss.filter((loss) => !Number.isNaN(loss));
      const mean = lost.reduce((sum, loss) => sum + loss, 0) / lost.length;
      return `${ways.size} tokens at m = ${shown(this.at())}, the nearest that was read; their pairs have lost ${shown(mean)} nats of utility on average.`;
    },
  };
}

/* Methods and forms at an equal loss of utility; and studies beside each other. */

const SIGNS = {
  square: "■", x: "×", triangle: "▲", diamond: "◆", circle: "●", inverted_triangle: "▼", star: "★", hex: "⬢", plus: "✚", cross: "+", asterisk: "✳", ring: "○",
};

/** A key of coloured signs and names. */
function legend(entries) {
  return make("p", { class: "note" }, ...entries.flatMap(([name, shade, marker]) =>
    [make("span", { style: `color: ${inStyle(shade)}`, "aria-hidden": "true" }, SIGNS[marker]), ` ${name}   `]));
}

/** A panel for each form: preference gained against the utility that it costs. */
async function drawFrontier(study, container, tableContainer) {
  const table = tableOf(study, "frontier");
  if (!table) return say(container, "This study compares no methods at an equal loss of utility.");
  const get = (name, row) => table.get(name)[row];
  const rows = rowsWhere(table, "budget", (budget) => budget !== null);
  const forms = [...new Set(rows.map((row) => get("form", row)))];
  const looks = new Map(Object.entries(study.looks.methods));
  const ends = ["low", "high"].map((name) => rows.map((row) => get(name, row)).filter((value) => value !== null));
  const [least, most] = [Math.min(0, ...ends[0]), Math.max(0, ...ends[1])], margin = 0.05 * (most - least);
  container.replaceChildren();
  for (const form of forms) {
    const own = rows.filter((row) => get("form", row) === form), methods = [...new Set(own.map((row) => get("method", row)))];
    const panel = make("figure", { class: "panel" }, make("figcaption", {}, form.replaceAll("_", " ")), make("div", { class: "plot" }));
    container.append(panel);
    const figure = newFigure({ x: "utility lost (nats)", y: "preference gained (nats)", height: 260 });
    const budgets = [...new Set(own.map((row) => get("budget", row)))];
    // One range for all forms, so that their heights compare.
    figure.y_range = new Bokeh.Range1d({ start: least - margin, end: most + margin });
    figure.xaxis.ticker = new Bokeh.FixedTicker({ ticks: budgets.map(Math.log2) });
    figure.xaxis.major_label_overrides = new Map(budgets.map((budget) => [Math.log2(budget), String(budget)]));
    drawZero(figure);
    methods.forEach((method, number) => {
      const [shade, marker] = looks.get(method), points = own.filter((row) => get("method", row) === method);
      const x = points.map((row) => Math.log2(get("budget", row)) + 0.05 * (number - (methods.length - 1) / 2));
      const [gained, low, high] = ["gained", "low", "high"].map((name) => numbers(points.map((row) => get(name, row))));
      const ink = colour(shade);
      figure.segment(x, low, x, high, { line_color: ink, line_width: 1.5 });
      figure.line(x, gained, { line_color: ink, line_width: 1, line_alpha: 0.7 });
      figure.scatter(x, gained, { marker, size: 8, fill_color: ink, line_color: ink });
    });
    panel.append(legend(methods.map((method) => [method, ...looks.get(method)])));
    const best = methods.map((method) => [method, own.find((row) => get("method", row) === method && get("budget", row) === 1)]);
    const words = best.filter(([, row]) => row !== undefined).map(([method, row]) => `${method} ${estimated(get("gained", row), get("low", row), get("high", row))}`);
    await put(panel, figure, `Nats of preference gained as a ${form.replaceAll("_", " ")} for one nat of utility: ${words.join("; ")}.`);
  }
  tableContainer.replaceChildren(showTable(table, undefined, 5));
}

/** The first steer of every study over the relative shift, as changes from m = 0. */
async function drawComparison(data, section) {
  const steers = data.studies.map((study) => study.steers[0]), shades = data.labels.map((label) => data.looks[label][0]);
  const away = (values, zero) => values.map((value) => (value === null ? null : value - zero));
  for (const quantity of ["preference", "utility"]) {
    const panel = part(section, `compare-${quantity}`);
    const figure = newFigure({ x: AXES.shift, y: `change of ${quantity} (nats)`, height: 300 });
    drawZero(figure);
    drawZero(figure, "height");
    steers.forEach((steer, number) => {
      const zero = steer[quantity].mean[steer.zero], x = steer.multipliers.map((m, i) => Math.sign(m) * steer.relative_shift[i]);
      const [mean, low, high] = ["mean", "low", "high"].map((name) => away(steer[quantity][name], zero));
      drawBand(figure, { x, mean, low, high }, shades[number], { points: false });
    });
    panel.querySelector(".note")?.remove();
    panel.append(legend(data.labels.map((label, number) => [label, shades[number], "square"])));
    await put(panel, figure, `Change of ${quantity} against the relative shift, a line for each study. The table above gives the numbers.`);
  }
}

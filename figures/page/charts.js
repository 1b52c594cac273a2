/* Charts in the page's own colours, by Bokeh. */

/** A shade in words of the style sheet: those with a name are defined there. */
const inStyle = (shade) => (/^[a-z]+$/.test(shade) ? `var(--${shade})` : shade);

/** A shade as it is now, in light or dark. */
function colour(shade) {
  const probe = make("span", { style: `color: ${inStyle(shade)}`, hidden: "" });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";

/** An empty figure with these axis labels. */
function newFigure({ x, y, height = 270, ticks = true }) {
  const figure = Bokeh.Plotting.figure({
    height, sizing_mode: "stretch_width", tools: "tap,pan,box_zoom,reset,save", toolbar_location: "above", toolbar_inner: true,
  });
  figure.toolbar.logo = null;
  // A drag that began on a chart would not scroll the page on a touch screen.
  figure.toolbar.active_drag = null;
  figure.toolbar.autohide = true;
  figure.toolbar.stylesheets = [`:host { background-color: ${colour("panel")} !important; }`];
  Object.assign(figure, {
    background_fill_color: null, border_fill_color: null, outline_line_color: null, min_border_left: 0, min_border_right: 4,
  });
  for (const [axis, label] of [[figure.xaxis, x], [figure.yaxis, y]]) {
    axis.axis_label = label;
    axis.axis_label_text_font = axis.major_label_text_font = FONT;
    axis.axis_label_text_font_style = "normal";
    axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px";
    axis.axis_label_text_color = axis.major_label_text_color = colour("soft");
    axis.axis_line_color = axis.major_tick_line_color = colour("line");
    axis.minor_tick_line_color = null;
    if (!ticks) Object.assign(axis, { major_label_text_font_size: "0px", major_tick_line_color: null });
  }
  figure.xgrid.grid_line_color = figure.ygrid.grid_line_color = colour("grid");
  return figure;
}

const sourceOf = (data) => new Bokeh.ColumnDataSource({ data });

/** A mean with its interval, as a band and points, which may be hollow, or a line; `told` says what stands at a point when it is pointed at. */
function drawBand(figure, { x, mean, low, high }, name, { points = true, marker = "circle", hollow = false, told = null } = {}) {
  const source = sourceOf({ x, mean: numbers(mean), low: numbers(low), high: numbers(high), told: told ?? x.map(() => "") }), shade = colour(name);
  figure.varea({ x: { field: "x" }, y1: { field: "low" }, y2: { field: "high" }, source, fill_color: shade, fill_alpha: 0.2 });
  if (points) {
    const dots = figure.scatter({ x: { field: "x" }, y: { field: "mean" }, source, marker, size: 5, line_color: shade, fill_color: hollow ? colour("panel") : shade, nonselection_alpha: 1 });
    if (told) figure.add_tools(new Bokeh.HoverTool({ renderers: [dots], mode: "vline", tooltips: [["", "@told"]], toggleable: false }));
  } else {
    figure.line({ x: { field: "x" }, y: { field: "mean" }, source, line_color: shade, line_width: 1.5 });
  }
  return source;
}

/** An upright line at the multiplier, and a ring around the points there; `to` moves both. */
function drawCursor(figure) {
  const span = new Bokeh.Span({ dimension: "height", line_color: colour("ink"), line_width: 1, line_alpha: 0.6 });
  const source = sourceOf({ x: [], y: [] });
  figure.add_layout(span);
  figure.scatter({
    x: { field: "x" }, y: { field: "y" }, source, size: 11, line_width: 2, fill_color: colour("panel"), line_color: colour("ink"),
  });
  return {
    to(x, ys) {
      span.location = x;
      source.data = { x: ys.map(() => x), y: numbers(ys) };
    },
  };
}

/** A faint line at zero, or where zero stands on the figure's axis. */
function drawZero(figure, dimension = "width", location = 0) {
  figure.add_layout(new Bokeh.Span({ location, dimension, line_color: colour("faint"), line_width: 1 }));
}

/** Put a figure into a panel's plot, in place of an earlier one, and describe it in words. */
async function put(panel, figure, words) {
  const plot = panel.querySelector(".plot");
  panel.bokehView?.remove();
  plot.replaceChildren();
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", words);
  panel.bokehView = await Bokeh.Plotting.show(figure, plot);
}

function describe(panel, words) {
  panel.querySelector(".plot").setAttribute("aria-label", words);
}

/** Say in a panel why nothing is drawn in it. */
function empty(panel, sentence) {
  panel.bokehView?.remove();
  panel.bokehView = null;
  panel.querySelector(".plot").replaceChildren();
  panel.querySelector(".plot").removeAttribute("role");
  const note = panel.querySelector(".note");
  if (note) note.textContent = sentence;
}

/** Call with the index of a point that was clicked. */
function whenTapped(source, act) {
  source.selected.properties.indices.change.connect(() => {
    const [index] = source.selected.indices;
    if (index !== undefined) act(index);
  });
}

/* Steering by hand: each column is one request to the server that the page came from; the server writes them in one batch. */

const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement, form = part(document, "ask"), columns = part(document, "columns");
const token = new URLSearchParams(location.search).get("token"), headers = { "Content-Type": "application/json", Authorization: `Bearer ${token}` };
const STEPS = 100; /* of a slider on either side: whole numbers, so that zero is zero */
const UNLIKELY = 8; /* nats of surprise at which a token's colour is full */
const FAR = 3; /* usual distances from ordinary text at which it is */

/* Steers */

const QUANTITIES = ["preference", "utility"];
/** What the sweep measured of a quantity, and the paper's curve where it was fitted. */
const measuredOf = (curves, quantity) => ({ x: curves.multipliers, y: numbers(curves[quantity].mean) });
const fittedOf = (curves, quantity) => (curves[quantity].fit?.ok ? curves[quantity].fit : null);

/** What the study knows of a multiplier, in a sentence; nothing beyond what was swept. */
function inWords({ curves }, m) {
  if (m < curves.multipliers[0] || m > curves.multipliers.at(-1)) return "The study has not swept so far.";
  const changes = (lineOf) => QUANTITIES.flatMap((quantity) => {
    const line = lineOf(curves, quantity);
    return line ? [`${quantity} ${signed(interpolate(m, line.x, line.y) - interpolate(0, line.x, line.y))}`] : [];
  }).join(", ");
  const predicted = changes(fittedOf), shift = shown(interpolate(m, curves.multipliers, curves.relative_shift), 2);
  return `Measured: ${changes(measuredOf)} nats against m = 0, shift ${shift} of ‖h‖. ` +
    (predicted ? `The curve predicts ${predicted}.` : "No curve could be fitted.");
}

const svg = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

/** Both curves, over the points that were measured, over the slider's range, each on its own height, with the useful range shaded; `at` moves the line. */
function drawCurves(steer) {
  const { curves, furthest, useful } = steer;
  const place = (m) => 50 + (50 * m) / furthest;
  const picture = svg("svg", { class: "curve", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": "Preference and utility against the multiplier" });
  const clamp = (m) => Math.max(-furthest, Math.min(furthest, m));
  picture.append(svg("rect", { class: "useful", x: place(clamp(useful[0])), y: 0, width: place(clamp(useful[1])) - place(clamp(useful[0])), height: 100 }));
  for (const quantity of QUANTITIES) {
    const inside = ({ x, y }) => x.map((m, i) => [m, y[i]]).filter(([m, value]) => Math.abs(m) <= furthest && Number.isFinite(value));
    const measured = inside(measuredOf(curves, quantity)), fitted = fittedOf(curves, quantity), line = fitted ? inside(fitted) : measured;
    const values = [...measured, ...line].map(([, value]) => value), low = Math.min(...values), span = Math.max(...values) - low || 1;
    const places = (points) => points.map(([m, value]) => `${place(m).toFixed(2)},${(95 - (90 * (value - low)) / span).toFixed(2)}`);
    if (!measured.length) continue;
    picture.append(svg("path", { class: "measured", d: places(measured).map((point) => `M${point}h0`).join(""), stroke: `var(--${quantity})` }));
    picture.append(svg("path", { d: `M${places(line).join("L")}`, stroke: `var(--${quantity})` }));
  }
  const line = svg("line", { class: "at", y1: 0, y2: 100 });
  picture.append(line);
  return { picture, at: (m) => { line.setAttribute("x1", place(m)); line.setAttribute("x2", place(m)); } };
}

const sliders = data.steers.map((steer, number) => {
  const start = steer.useful ? steer.useful[1] : steer.furthest / 2, id = `slider-${number}`;
  const slider = make("input", { type: "range", id, min: -STEPS, max: STEPS, step: 1 });
  const value = make("output", { for: id }), note = make("p", { class: "note" }), curve = steer.curves ? drawCurves(steer) : null;
  const key = curve && make("p", { class: "note key" }, make("b", { class: "p" }, "preference"), " and ", make("b", { class: "u" }, "utility"),
    " in the study, each on its own scale: points as measured, lines the paper's curve where it could be fitted; shaded where the steer is useful. ",
    steer.refuted.length ? make("strong", {}, `The study refutes the paper's curve of ${steer.refuted.join(" and of ")} there: go by what was measured.`) : null);
  slider.value = number ? 0 : Math.round((STEPS * start) / steer.furthest);
  const multiplier = () => (steer.furthest * Number(slider.value)) / STEPS;
  const show = () => {
    const m = multiplier();
    value.textContent = `m = ${shown(m)}${steer.unit && ` ${steer.unit}`}`;
    slider.setAttribute("aria-valuetext", value.textContent);
    note.textContent = curve ? inWords(steer, m) : "No study lies beside this steer, so nothing is predicted.";
    if (curve) curve.at(m);
  };
  slider.addEventListener("input", () => { show(); showCommands(); });
  slider.addEventListener("change", () => write());
  part(form, "steers").append(make("div", { class: "panel steer" },
    make("div", { class: "line" }, make("label", { for: id, title: steer.says }, make("b", {}, steer.name), ` ${steer.says}`), value), slider, curve && curve.picture, key, note));
  return { steer, show, get m() { return multiplier(); } };
});
if (!sliders.length) say(part(form, "steers"), "No steer is loaded, so the model writes unsteered. Pass files of steers after the model.");

/* Colours */

const shade = part(document, "shade");
shade.append(make("option", { value: "" }, "nothing"), make("option", { value: "base" }, "log-probability without a steer"),
  ...data.steers.map((steer, number) => make("option", { value: `along ${number}` }, `projection on ${steer.name}`)),
  ...data.steers.map((steer, number) => make("option", { value: `far ${number}` }, `distance to the manifold where ${steer.name} acts`)));
shade.value = "base";
/** Of all tokens on the page, the middle and the width of their projections on a steer. */
function spreadOf(number) {
  const values = [...columns.querySelectorAll(".written span")].map((span) => span.token.along[number]).filter(Number.isFinite);
  const middle = values.reduce((sum, value) => sum + value, 0) / (values.length || 1);
  return { middle, width: Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length || 1)) || 1 };
}

/** Ways to colour tokens: what the ends of the legend are called, and how strong the colour of a token is: up to 1, or from -1 with `bothWays`. */
const WAYS = {
  base: { ends: ["certain", `${UNLIKELY} nats of surprise`], strengths: () => (token) => -token.base_logprob / UNLIKELY },
  along: {
    ends: ["away from Δh", "along Δh"],
    bothWays: true,
    strengths: (number) => {
      const { middle, width } = spreadOf(number);
      return (token) => (token.along[number] - middle) / (2 * width);
    },
  },
  far: {
    ends: ["as ordinary text", `${FAR} times the usual distance`],
    strengths: (number) => (token) => ((token.distances?.[number] ?? 1) - 1) / (FAR - 1),
  },
};
/** The way that is chosen, and the steer that it is about. */
function chosen() {
  const [way, number] = shade.value.split(" ");
  return { way, number: Number(number), ...WAYS[way] };
}

/** Colour one token, or all of them. */
function tint(spans = columns.querySelectorAll(".written span")) {
  const { number, bothWays, strengths } = chosen(), strength = strengths?.(number) ?? (() => 0);
  for (const span of spans) {
    const strong = Math.max(bothWays ? -1 : 0, Math.min(1, strength(span.token))), percent = Math.round(60 * Math.abs(strong));
    const name = bothWays && strong > 0 ? "preference" : "utility";
    span.style.backgroundColor = percent ? `color-mix(in srgb, var(--${name}) ${percent}%, transparent)` : "";
  }
}

function showLegend() {
  const legend = part(document, "legend"), { ends, bothWays } = chosen();
  legend.hidden = !ends;
  if (!ends) return;
  [part(legend, "low").textContent, part(legend, "high").textContent] = ends;
  const full = (name) => `color-mix(in srgb, var(--${name}) 60%, transparent)`, least = bothWays ? `${full("utility")}, transparent` : "transparent";
  legend.querySelector("i").style.background = `linear-gradient(to right, ${least}, ${full(bothWays ? "preference" : "utility")})`;
}
shade.addEventListener("change", () => {
  showLegend();
  tint();
  /* The server reads ordinary text before it can tell distances, so they are asked for only by those who want to see them. */
  if (chosen().way === "far" && !withDistances) write();
});

/* Writing */

let writing = null, withDistances = false;

/** Server-sent events of a request; an answer that is an error is thrown as its sentence. */
async function* events(path, body, signal) {
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let waiting = "", { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    const parts = (waiting + value).split("\n\n");
    waiting = parts.pop();
    for (const event of parts.map((text) => text.replace(/^data: /, "")).filter((text) => text !== "[DONE]")) {
      const said = JSON.parse(event);
      if (said.error) throw new Error(said.error.message);
      yield said.choices[0];
    }
  }
}

const named = (factor) => sliders.map(({ steer, m }) => ({ steer, m: m * factor }));

/** One column: the request, and its tokens as they come. */
async function fill(factor, column, asked, signal) {
  const written = part(column, "written"), note = part(column, "audit");
  // Those that do not act are asked for at zero: their projection is told too.
  const body = { ...asked, steer: named(factor).map(({ steer, m }) => ({ name: steer.name, multiplier: m })) };
  column.classList.add("busy");
  try {
    for await (const choice of events(asked.messages ? "/v1/chat/completions" : "/v1/completions", body, signal)) {
      for (const one of choice.tokens) {
        const text = written.childElementCount ? one.text : one.text.trimStart();
        const away = (one.distances ?? []).map((distance, number) => (distance === null ? "" : `; at ${data.steers[number].name} ${shown(distance, 2)} usual distances from ordinary text`));
        const span = make("span", { title: `log P ${shown(one.logprob)} steered, ${shown(one.base_logprob)} without${away.join("")}` }, text);
        span.token = one;
        written.append(span);
        tint([span]);
      }
      if (choice.steer) {
        const audits = choice.steer.filter(({ multiplier }) => multiplier !== 0);
        note.textContent = audits.map((audit) => audit.sites.map((site) => `${audit.name} fired at ${site.n_positions} tokens, ‖shift‖/‖h‖ ${shown(site.relative_shift.median, 2)}`).join("; ")).join("; ") || "The model as it is.";
      }
    }
  } finally {
    column.classList.remove("busy");
  }
}

async function write() {
  writing?.abort();
  const own = (writing = new AbortController()), status = part(form, "status"), fields = form.elements, prompt = form.querySelector("#prompt").value;
  const factors = fields.factors.value.split(/[\s,;]+/).filter(Boolean).map(Number);
  status.classList.remove("error");
  if (!factors.length || factors.some((factor) => !Number.isFinite(factor))) {
    status.classList.add("error");
    status.textContent = "The slider factors must be numbers, such as -1, 0, 1.";
    return;
  }
  const asked = { model: data.model, max_tokens: Number(fields.tokens.value), temperature: Number(fields.temperature.value), seed: Number(fields.seed.value), stream: true, token_details: true, distances: (withDistances = chosen().way === "far") };
  Object.assign(asked, fields.chat?.checked ? { messages: [{ role: "user", content: prompt }] } : { prompt });
  const made = (sliders.length ? factors : [0]).map((factor) => {
    const acting = named(factor).filter(({ m }) => m !== 0), of = (steer) => (sliders.length > 1 ? `${steer.name} ` : "");
    const title = acting.map(({ steer, m }) => `${of(steer)}m = ${shown(m)}`).join(", ") || "m = 0";
    const told = acting.filter(({ steer }) => steer.curves).map(({ steer, m }) => `${of(steer)}${inWords(steer, m)}`);
    const column = make("article", { class: "column" }, make("h3", {}, title), make("p", { class: "written", "data-part": "written" }),
      make("p", { class: "note", "data-part": "audit" }), ...told.map((sentence) => make("p", { class: "note" }, sentence)));
    return { factor, column };
  });
  columns.replaceChildren(...made.map(({ column }) => column));
  status.textContent = "Writing …";
  const ended = await Promise.allSettled(made.map(({ factor, column }) => fill(factor, column, asked, own.signal)));
  if (own !== writing) return;
  const failed = ended.find(({ status: how }) => how === "rejected");
  status.classList.toggle("error", Boolean(failed));
  const { way, number } = chosen(), told = [...columns.querySelectorAll(".written span")].map((span) => span.token.distances?.[number] ?? null);
  const nowhere = way === "far" && told.every((distance) => distance === null) ? "No distance is known here: the model reads no text to measure it from." : "";
  status.textContent = failed ? failed.reason.message : nowhere;
  tint();
  root.dataset.written = String(Number(root.dataset.written ?? 0) + 1);
}
form.addEventListener("submit", (event) => { event.preventDefault(); write(); });

/* A study of it, and light or dark */

function showCommands() {
  part(document, "commands").replaceChildren(...(sliders.length ? sliders : [{ steer: data, m: 0 }]).map(({ steer, m }) => {
    const command = m ? `${steer.command} --multipliers=${[-1, 1].map((sign) => (2 * sign * Math.abs(m)).toPrecision(3)).join(":")}:21` : steer.command;
    const code = make("code", {}, command), button = make("button", { type: "button", class: "quiet" }, "Copy");
    button.addEventListener("click", () => copy(code, button));
    return make("p", { class: "command" }, code, " ", button);
  }));
}

const dark = matchMedia("(prefers-color-scheme: dark)"), theme = part(document, "theme");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  theme.setAttribute("aria-pressed", String(isDark()));
});
theme.setAttribute("aria-pressed", String(isDark()));

sliders.forEach(({ show }) => show());
showCommands();
showLegend();
write();

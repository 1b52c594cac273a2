/* The page: studies open when they are shown, and what was drawn is drawn again when colours change. */

const NUMBERS_SHOWN = 8;

/** A claim's figure and numbers, put in place when its row is opened. */
function fillWhenOpened(study, details) {
  details.addEventListener("toggle", () => {
    const numbersPart = part(details, "numbers"), picture = part(details, "picture");
    if (!details.open || numbersPart.childElementCount) return;
    const claim = details.dataset.title, figure = details.dataset.picture;
    // A figure of one steer is drawn for the first one as NAME, for others as NAME-STEER.
    for (const [name, source] of Object.entries(study.pictures).filter(([name]) => name === figure || name.startsWith(`${figure}-`))) {
      picture.append(make("img", { src: source, alt: `Figure ${name} of the claim: ${claim}. Its numbers stand in the tables below.` }));
    }
    const keys = details.dataset.keys.split(" ");
    for (const name of details.dataset.tables.split(" ").filter(Boolean)) {
      const table = tableOf(study, name);
      if (!table) continue;
      const own = table.get("key") ? rowsWhere(table, "key", (key) => keys.includes(key)) : [];
      numbersPart.append(showTable(table, own.length ? own : undefined, NUMBERS_SHOWN));
    }
    if (!numbersPart.childElementCount) say(numbersPart, "No table stands behind this claim but the claim's own row.");
  });
}

/** Sweeps and pairs as tables: put together here, for the page carries them in another shape. */
function builtTables(study) {
  const { pairs, steers } = study;
  const columnsOf = (fields) => Object.entries(fields).map(([name, values]) => ({ name, values, number: typeof values[0] === "number" }));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  return [
    { name: "pairs", about: "the pairs that were measured", rows: pairs.id.length, build: () => ({ rows: pairs.id.length, columns: columnsOf(pairs) }) },
    {
      name: "sweeps", about: "losses, preference and utility by steer, multiplier and pair",
      rows: steers.reduce((sum, steer) => sum + (steer.values ? steer.multipliers.length * pairs.id.length : 0), 0),
      build() {
        const names = ["steer", "multiplier", "relative_shift", "pair", "tokens_positive", "tokens_negative", "preference", "utility", "loss_positive", "loss_negative"];
        const columns = names.map((name) => ({ name, values: [], unit: /^(preference|utility|loss)/.test(name) && "nats" }));
        for (const steer of steers.filter((steer) => steer.values)) {
          steer.multipliers.forEach((m, i) => pairs.id.forEach((id, j) => {
            const preference = steer.values.preference[i][j], utility = steer.values.utility[i][j];
            // Eqs. 7 and 8, solved for the losses.
            const [positive, negative] = utility === null ? [null, null] : [-1, 1].map((sign) => Number((softplus(-utility) + softplus(sign * preference)).toPrecision(4)));
            const row = [steer.name, m, steer.relative_shift[i], id, steer.values.tokens_positive[j], steer.values.tokens_negative[j], preference, utility, positive, negative];
            row.forEach((value, k) => columns[k].values.push(value));
          }));
        }
        return { rows: columns[0].values.length, columns };
      },
    },
  ];
}

function listTables(study, container) {
  const carried = study.tables.map((table) => tableOf(study, table.name));
  for (const table of [...carried, ...builtTables(study)].sort((one, other) => one.name.localeCompare(other.name))) {
    const preview = make("div"), item = make("details", { class: "table-item" },
      make("summary", {}, make("code", {}, table.name), make("span", { class: "rows" }, `${table.rows} rows`), make("span", {}, table.about), saveButton(table)),
      preview);
    item.addEventListener("toggle", () => {
      if (!item.open || preview.childElementCount) return;
      const whole = table.columns ? table : table.build();
      preview.append(showTable({ ...table, ...whole }));
    });
    container.append(item);
  }
}

/** Let the page answer its reader between two figures. */
const pause = () => new Promise((resume) => setTimeout(resume));

/** Everything of one study that moves; gives back how to draw it again. */
function openStudy(study, article) {
  const view = viewOf(study), steerChoice = part(article, "steer"), besideChoice = part(article, "beside"), axisChoice = part(article, "axis"), slider = part(article, "slider"), readout = part(article, "readout");
  const panels = [
    curvePanel(view, part(article, "preference"), "preference"),
    curvePanel(view, part(article, "utility"), "utility"),
    textsPanel(view, part(article, "texts")),
    othersPanel(view, part(article, "effects-on-others")),
    distancePanel(view, part(article, "distance")),
    mapPanel(view, part(article, "map")),
    effectsPanel(view, part(article, "effects")),
    pairPanel(view, part(article, "pair")),
    pairTable(view, part(article, "pair-table"), part(article, "find"), part(article, "wrong")),
  ];
  const [effects, pair, pairsTable] = panels.slice(-3);

  let drawing = Promise.resolve();
  /** One drawing after the other: two at once would leave two charts in a panel. */
  const draw = () => (drawing = drawing.then(drawAll));
  async function drawAll() {
    for (const panel of panels) {
      await panel.draw();
      await pause();
    }
    await drawFrontier(study, part(article, "frontier"), part(article, "frontier-table"));
  }
  function read() {
    const { steer, index } = view, shift = steer.relative_shift[index];
    const value = (of, at, quantity) => `${quantity} ${estimated(of[quantity].mean[at], of[quantity].low[at], of[quantity].high[at], true)} nats`;
    const words = (of, at) => ` · relative shift ${shown(of.relative_shift[at])} · ${value(of, at, "preference")} · ${value(of, at, "utility")}`;
    readout.dataset.steer = steer.name;
    readout.replaceChildren(make("b", {}, `m = ${shown(view.multiplier)}`), words(steer, index));
    if (view.beside) {
      const at = view.besideIndex;
      readout.append(make("br"), `${view.beside.name}: `, make("b", {}, `m = ${shown(view.beside.multipliers[at])}`), words(view.beside, at));
    }
    slider.setAttribute("aria-valuetext", `m = ${shown(view.multiplier)}, relative shift ${shown(shift)}`);
  }
  view.go = (index) => {
    view.index = index;
    slider.value = String(index);
    read();
    for (const panel of panels) panel.move();
    link();
  };
  view.choose = (chosen) => {
    if (chosen === view.pair) return;
    view.pair = chosen;
    for (const panel of [effects, pair, pairsTable]) panel.move();
  };
  let askedAxis = null;
  /** Multipliers of two steers are not comparable, relative shifts are: these it is unless the reader asks otherwise. */
  function chooseAxis() {
    axisChoice.value = view.axis = askedAxis ?? (view.beside ? "shift" : "multiplier");
  }
  function useSteer(steer, index = steer.start) {
    view.steer = steer;
    view.index = index;
    steerChoice.value = steer.slug;
    slider.max = String(steer.multipliers.length - 1);
    slider.value = String(index);
    chooseAxis();
    showVerdict(part(article, "verdict"), steer);
    read();
  }
  /** The address says what is looked at, so that it can be handed on. */
  function link() {
    const said = { study: article.id, steer: view.steer.slug, m: String(view.multiplier) };
    if (view.beside) said.beside = view.beside.slug;
    if (view.claim) said.claim = view.claim;
    history.replaceState(null, "", `#${new URLSearchParams(said)}`);
  }
  /** What an address says; the multiplier is the nearest that was swept. */
  function follow(said) {
    const named = (slug) => study.steers.find((steer) => steer.slug === slug), steer = named(said.get("steer")) ?? view.steer, m = Number(said.get("m"));
    const away = steer.multipliers.map((other) => Math.abs(other - m)), at = said.get("m") && !Number.isNaN(m) ? away.indexOf(Math.min(...away)) : steer.start;
    view.beside = named(said.get("beside")) ?? null;
    besideChoice.value = view.beside?.slug ?? "";
    useSteer(steer, at);
    const claim = said.get("claim") && [...article.querySelectorAll("details.claim")].find((each) => each.dataset.name === said.get("claim"));
    if (claim) {
      view.claim = said.get("claim");
      claim.open = true;
      claim.scrollIntoView();
    }
  }

  const options = () => study.steers.map((steer) => make("option", { value: steer.slug }, steer.name));
  steerChoice.append(...options());
  besideChoice.append(...options());
  for (const choice of [steerChoice, besideChoice]) {
    choice.addEventListener("change", () => {
      const named = (slug) => study.steers.find((steer) => steer.slug === slug);
      view.beside = named(besideChoice.value) ?? null;
      const steer = named(steerChoice.value);
      useSteer(steer, steer === view.steer ? view.index : steer.start);
      link();
      draw();
    });
  }
  slider.addEventListener("input", () => view.go(Number(slider.value)));
  axisChoice.addEventListener("change", () => {
    askedAxis = axisChoice.value;
    chooseAxis();
    draw();
  });
  part(article, "copy").addEventListener("click", (event) => copy(article.querySelector(".command code"), event.target));
  for (const details of article.querySelectorAll("details.claim")) {
    fillWhenOpened(study, details);
    details.addEventListener("toggle", () => {
      if (!details.open && view.claim !== details.dataset.name) return;
      view.claim = details.open ? details.dataset.name : null;
      link();
    });
  }
  filterClaims(article);
  listTables(study, part(article, "tables"));
  useSteer(study.steers[0]);
  const said = new URLSearchParams(location.hash.slice(1));
  if (said.get("study") === article.id) follow(said);
  return draw;
}

/** A steer's verdict, as the template writes it of the first. */
function showVerdict(box, steer) {
  const { ended, headline, rows } = steer.verdict;
  box.className = `verdict ${ended.replace(" ", "-")}`;
  box.querySelector(".ended").textContent = headline;
  box.querySelector("dl").replaceChildren(...rows.map(({ label, words }) => make("div", {}, make("dt", {}, label), make("dd", {}, words))));
}

/** Claims of one outcome, or with some words in their titles and reasons. */
function filterClaims(article) {
  const outcome = part(article, "outcome"), find = part(article, "find-claim"), count = part(article, "claims-shown");
  if (!outcome) return;
  const claims = [...article.querySelectorAll("details.claim")];
  /** Rows, for a claim has one for each steer: how many are shown, and of how many. */
  const counted = (some, words) => {
    const outcomesOf = (claim) => claim.dataset.outcomes.split(" "), is = (each) => !outcome.value || each === outcome.value;
    const visible = some.filter((claim) => !claim.hidden).flatMap(outcomesOf).filter(is);
    return some.length ? [`${visible.length} of ${some.flatMap(outcomesOf).length} ${words}`] : [];
  };
  const isCheck = (claim) => "check" in claim.dataset;
  const show = () => {
    const sought = find.value.trim().toLowerCase();
    for (const claim of claims) {
      const is = !outcome.value || claim.dataset.outcomes.includes(outcome.value);
      claim.hidden = !is || !claim.textContent.toLowerCase().includes(sought);
    }
    for (const theme of article.querySelectorAll(".theme")) theme.hidden = ![...theme.querySelectorAll("details.claim")].some((claim) => !claim.hidden);
    count.textContent = [...counted(claims.filter((claim) => !isCheck(claim)), "claims"), ...counted(claims.filter(isCheck), "checks of the software")].join(", ");
  };
  outcome.addEventListener("change", show);
  find.addEventListener("input", show);
  show();
}

/** The data, which travel packed. */
async function unpacked(element) {
  const bytes = Uint8Array.from(atob(JSON.parse(element.textContent).gzip), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

async function start() {
  const data = await unpacked(document.getElementById("data")), root = document.documentElement;
  const comparison = document.getElementById("comparison"), articles = [...document.querySelectorAll("article.study")];
  const sheets = [comparison, ...articles].filter(Boolean), drawers = new Map();
  for (const table of document.querySelectorAll("table.sortable")) sortInPlace(table);
  if (comparison) drawers.set(comparison, () => drawComparison(data, comparison));

  function draw() {
    const sheet = sheets.find((other) => !other.hidden);
    if (!drawers.has(sheet)) drawers.set(sheet, openStudy(data.studies[articles.indexOf(sheet)], sheet));
    return drawers.get(sheet)();
  }

  const tabs = [...document.querySelectorAll('[role="tab"]')];
  function choose(tab) {
    tabs.forEach((other, number) => {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
      sheets[number].hidden = other !== tab;
    });
    return draw();
  }
  tabs.forEach((tab, number) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = tabs[(number + step + tabs.length) % tabs.length];
      next.focus();
      choose(next);
    });
  });

  const dark = matchMedia("(prefers-color-scheme: dark)"), theme = part(document, "theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const showTheme = () => {
    theme.setAttribute("aria-pressed", String(isDark()));
    root.toggleAttribute("data-dark", isDark());
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
    draw();
  });
  dark.addEventListener("change", () => {
    showTheme();
    draw();
  });
  showTheme();

  const asked = articles.findIndex((article) => article.id === new URLSearchParams(location.hash.slice(1)).get("study"));
  const drawn = comparison && asked >= 0 ? choose(tabs[asked + 1]) : draw();
  root.dataset.ready = String(Math.round(performance.now()));
  await drawn;
  root.dataset.drawn = String(Math.round(performance.now()));
}

start();

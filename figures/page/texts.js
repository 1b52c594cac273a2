/* What the model writes at the slider's multiplier, with the checker's marks where there is one. */

const CHECKED = { grammatical: "grammatical", on_topic: "on topic", fitting: "fitting", agreeing: "agreeing", ended: "ended" };
const NOT_WRITTEN = "Nothing was written under this steer: of every method and form, the first training seed writes.";
const WRONG = { off_topic: "another noun than the one asked about", unfitting: "does not suit its noun", disagreeing: "disagrees in number" };

/** A text with its marked words; what is not marked stays plain. */
function markedText(text, marks, concept) {
  const words = text.split(/\s+/).filter(Boolean), codes = marks.split(" ");
  return words.flatMap((word, index) => {
    const found = (codes[index] ?? ".").split(",");
    const side = found.find((code) => concept && code.startsWith(concept) && /[+-]$/.test(code));
    const wrong = found.filter((code) => code in WRONG);
    let shownWord = word;
    if (word === "</s>") shownWord = make("span", { class: "end", title: "the end token" }, word);
    if (side) {
      const plus = side.endsWith("+");
      shownWord = make("mark", { class: plus ? "plus" : "minus" }, shownWord, make("sup", {}, plus ? "+" : "−"));
    }
    if (wrong.length) {
      const reasons = wrong.map((code) => WRONG[code]).join("; ");
      shownWord = make("mark", { class: "wrong", title: reasons }, shownWord, make("span", { class: "hidden" }, ` (${reasons})`));
    }
    return [shownWord, " "];
  });
}

/** The share of valid answers in the larger sample, at the multiplier nearest to the slider's at which any were drawn. */
function validWords(steer, index) {
  const { multiplier, share, n } = steer.valid;
  if (!multiplier.length) return "No checker has counted valid answers.";
  const nearest = (m) => multiplier.map((other) => Math.abs(other - m)).reduce((best, away, i, all) => (away < all[best] ? i : best), 0);
  const here = nearest(steer.multipliers[index]), zero = nearest(0), per = (i) => `${Math.round(100 * share[i])} %`;
  return `${per(here)} of ${n[here]} sampled answers are valid at m = ${shown(multiplier[here])}, unsteered ${per(zero)}.`;
}

/** What judges say of a steer's texts at one of its multipliers, a line for each judge. */
function judgedWords(study, steer, index) {
  const table = tableOf(study, "judged"), rows = table ? rowsWhere(table, "key", (key) => key === steer.key) : [];
  const get = (name, row) => table.get(name)[row], away = (row) => Math.abs(get("multiplier", row) - steer.multipliers[index]);
  const nearest = Math.min(...rows.map(away)), here = rows.filter((row) => away(row) === nearest);
  return [...new Set(here.map((row) => get("judge", row)))].map((judge) => {
    const told = here.filter((row) => get("judge", row) === judge).map((row) => {
      const missing = get("n_failed", row) ? ` (${get("n_failed", row)} missing: ${shown(get("worst", row))} to ${shown(get("best", row))})` : "";
      return `${get("aspect", row)} ${estimated(get("mean", row), get("low", row), get("high", row))}${missing}`;
    });
    const named = get("named", here.find((row) => get("judge", row) === judge));
    return `Judged by ${judge}, from 0 to 1: ${told.join(", ")}.${named ? ` ${Math.round(100 * named)} % of these texts name the concept.` : ""}`;
  });
}

function textsPanel(view, panel) {
  const container = panel.querySelector(".texts"), note = panel.querySelector(".note"), valid = panel.querySelector(".valid");
  /** A steer's texts at the multiplier nearest to one of its own. */
  const at = (steer, index) => {
    const table = tableOf(view.study, "texts"), rows = table ? rowsWhere(table, "key", (key) => key === steer.key) : [];
    if (!rows.length) return null;
    const get = (name, row) => table.get(name)?.[row], multipliers = [...new Set(rows.map((row) => get("multiplier", row)))];
    const closest = (m) => multipliers.reduce((a, b) => (Math.abs(b - m) < Math.abs(a - m) ? b : a));
    // The verdict's own query comes first, and its multipliers, which are useful ones, stand beside the slider's.
    const here = closest(steer.multipliers[index]), { query, multipliers: told } = steer.flip ?? { multipliers: [closest(0)] };
    const textsAt = (m) => new Map(rows.filter((row) => get("multiplier", row) === m).map((row) => [get("pair", row), get("text", row)]));
    // Where it flips is seen by both directions; what lies on the slider's side is not told again.
    const others = told.filter((m) => Math.sign(m) !== Math.sign(here)).sort((one, other) => Math.abs(one) - Math.abs(other));
    return {
      table, get, here,
      rows: rows.filter((row) => get("multiplier", row) === here).sort((one, other) => (get("query", other) === query) - (get("query", one) === query)),
      others: others.map((m) => [m ? `m = ${shown(m)}` : "unsteered", textsAt(m)]),
    };
  };
  return {
    async draw() {
      this.move();
    },
    move() {
      const { steer, beside, index } = view, own = at(steer, index), other = beside && at(beside, view.besideIndex);
      valid.replaceChildren(validWords(steer, index));
      if (beside) valid.append(make("br"), `${beside.name}: ${validWords(beside, view.besideIndex)}`);
      for (const line of judgedWords(view.study, steer, index)) valid.append(make("br"), line);
      if (!own) {
        container.replaceChildren();
        note.textContent = tableOf(view.study, "texts") ? NOT_WRITTEN : "This study has kept no texts.";
        return;
      }
      const { get } = own, checked = Boolean(own.table.get("marks")), concept = checked ? view.study.concept : null;
      const written = (found, row) => (checked ? markedText(found.get("text", row), found.get("marks", row), concept) : [found.get("text", row)]);
      container.replaceChildren(...own.rows.map((row) => {
        const pair = get("pair", row), otherRow = other?.rows.find((each) => other.get("pair", each) === pair);
        return make("div", { class: "text-row" },
          make("p", { class: "query" }, get("query", row) || "(no query)"),
          make("p", { class: "steered" }, ...written(own, row)),
          otherRow === undefined ? null : make("p", { class: "steered" }, `${beside.name}: `, ...written(other, otherRow)),
          ...own.others.map(([words, texts]) => make("p", { class: "base" }, `${words}: ${texts.get(pair)}`)),
          make("p", { class: "pills" }, ...this.pills(own.table, row, pair, concept)));
      }));
      note.replaceChildren(`Continued greedily at m = ${shown(own.here)}. `, ...(checked ? [
        "The exact checker marks words that bear ", make("mark", { class: "plus" }, "one side", make("sup", {}, "+")), " or ",
        make("mark", { class: "minus" }, "the other", make("sup", {}, "−")), ` of ${concept}, and `,
        make("mark", { class: "wrong" }, "words that are out of place"), ".",
      ] : []), ...(beside && !other ? [` ${beside.name}: ${NOT_WRITTEN}`] : []));
    },
    /** The checker's parts and the concept's value; and everywhere the log-odds of the query's own pair. */
    pills(table, row, pair, concept) {
      const found = [];
      if (concept) {
        for (const [name, words] of Object.entries(CHECKED)) {
          const right = table.get(name)[row];
          if (!right) found.push(make("span", { class: "bad" }, `✗ not ${words}`));
        }
        found.push(make("span", {}, `${concept} ${signed(table.get(concept)[row])}, from −1 to 1`));
      }
      const { steer, index } = view, number = view.study.pairs.id.indexOf(pair);
      if (steer.values && number >= 0) {
        const [preference, utility] = ["preference", "utility"].map((name) => steer.values[name][index][number]);
        found.push(make("span", {}, `its pair: preference ${signed(preference)}, utility ${signed(utility)} nats`));
      }
      return found;
    },
  };
}

/* What the model writes at the slider's multiplier, with the checker's marks where there is one. */

const CHECKED = { grammatical: "grammatical", on_topic: "on topic", fitting: "fitting", agreeing: "agreeing", ended: "ended" };
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

function textsPanel(view, panel) {
  const container = panel.querySelector(".texts"), note = panel.querySelector(".note");
  return {
    async draw() {
      this.move();
    },
    move() {
      const table = tableOf(view.study, "texts");
      const rows = table ? rowsWhere(table, "key", (key) => key === view.steer.key) : [];
      if (!rows.length) {
        container.replaceChildren();
        note.textContent = table ? NO_CLAIMS : "This study has kept no texts.";
        return;
      }
      const get = (name, row) => table.get(name)?.[row];
      const multipliers = [...new Set(rows.map((row) => get("multiplier", row)))];
      const at = view.nearest(multipliers), base = multipliers.reduce((a, b) => (Math.abs(b) < Math.abs(a) ? b : a));
      const checked = Boolean(table.get("marks")), concept = checked ? view.study.concept : null;
      const baseTexts = new Map(rows.filter((row) => get("multiplier", row) === base).map((row) => [get("pair", row), get("text", row)]));
      container.replaceChildren(...rows.filter((row) => get("multiplier", row) === at).map((row) => {
        const pair = get("pair", row), text = get("text", row);
        return make("div", { class: "text-row" },
          make("p", { class: "query" }, get("query", row) || "(no query)"),
          make("div", {},
            make("p", { class: "steered" }, ...(checked ? markedText(text, get("marks", row), concept) : [text])),
            at === base ? null : make("p", { class: "base" }, `unsteered: ${baseTexts.get(pair)}`),
            make("p", { class: "pills" }, ...this.pills(table, row, pair, concept))));
      }));
      note.replaceChildren(`Continued greedily at m = ${shown(at)}. `, ...(checked ? [
        "The exact checker marks words that bear ", make("mark", { class: "plus" }, "one side", make("sup", {}, "+")), " or ",
        make("mark", { class: "minus" }, "the other", make("sup", {}, "−")), ` of ${concept}, and `,
        make("mark", { class: "wrong" }, "words that are out of place"), ".",
      ] : ["Log-odds are those of the pair with this query."]));
    },
    /** The checker's parts and the concept's value; and everywhere the log-odds of the query's own pair. */
    pills(table, row, pair, concept) {
      const found = [];
      if (concept) {
        for (const [name, words] of Object.entries(CHECKED)) {
          const right = table.get(name)[row];
          found.push(make("span", { class: right ? null : "bad" }, `${right ? "✓" : "✗ not"} ${words}`));
        }
        found.push(make("span", {}, `${concept} ${signed(table.get(concept)[row])}`));
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

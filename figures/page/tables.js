/* Tables: decoded, sorted, and saved as CSV. */

/** A carried table, its columns as plain arrays. */
function decode(table) {
  const columns = table.columns.map((column) => ({
    name: column.name,
    number: Boolean(column.number),
    unit: column.unit,
    values: column.levels ? column.codes.map((code) => column.levels[code]) : column.values,
  }));
  const byName = Object.fromEntries(columns.map((column) => [column.name, column.values]));
  return { name: table.name, about: table.about, rows: table.rows, columns, get: (name) => byName[name] };
}

/** The study's table of this name, decoded once; null where there is none. */
function tableOf(study, name) {
  study.decoded ??= new Map();
  if (!study.decoded.has(name)) {
    const found = study.tables.find((table) => table.name === name);
    study.decoded.set(name, found ? decode(found) : null);
  }
  return study.decoded.get(name);
}

/** Indices of the rows for which a column's value passes the test. */
function rowsWhere(table, name, test) {
  const values = table.get(name);
  return [...Array(table.rows).keys()].filter((row) => test(values[row]));
}

/** Words that a spreadsheet would take for a formula are saved with an apostrophe before them; numbers stay numbers. */
function noFormula(value) {
  return typeof value === "string" && /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
}

function toCsv(columns, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(noFormula(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map((column) => cell(column.name)).join(",")];
  for (const row of rows) lines.push(columns.map((column) => cell(column.values[row])).join(","));
  return lines.join("\r\n") + "\r\n";
}

/** Hand a text to the reader as a file. */
function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

const LONG = 30;

function cellOf(column, row) {
  const content = column.show ? column.show(row) : String(column.value(row) ?? "");
  const kinds = [column.number && "number", content.length > LONG && "long", column.wide && "wide"].filter(Boolean);
  return make("td", { class: kinds.join(" ") || null }, content);
}

function saveButton(table, words = "Download CSV") {
  const button = make("button", { type: "button", class: "quiet", "data-save": table.name }, words);
  button.addEventListener("click", (event) => {
    event.preventDefault();
    const whole = table.columns ? table : table.build();
    save(`${table.name.replaceAll("/", "-")}.csv`, toCsv(whole.columns, [...Array(whole.rows).keys()]));
  });
  return button;
}

function compareValues(one, other, direction) {
  const missing = (value) => value === null || value === undefined || value === "" || Number.isNaN(value);
  // What is missing comes last, whichever way the rest is sorted.
  if (missing(one) || missing(other)) return missing(one) - missing(other);
  return direction * (typeof one === "number" ? one - other : String(one).localeCompare(String(other), "en", { numeric: true }));
}

/** Say which column a table is sorted by, and return the direction: first ascending, then descending. */
function turnHeader(header) {
  const direction = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
  for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  return direction === "ascending" ? 1 : -1;
}

/** Make the headers of a table that stands in the page sort its bodies, one for each row. */
function sortInPlace(table) {
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const header = button.parentElement, column = header.cellIndex, direction = turnHeader(header);
      const key = (body) => {
        const cell = body.rows[0].cells[column], text = cell.dataset.sort ?? cell.textContent.trim();
        return cell.dataset.sort && !Number.isNaN(Number(text)) ? Number(text) : text;
      };
      table.append(...[...table.tBodies].sort((one, other) => compareValues(key(one), key(other), direction)));
    });
  }
}

/**
 * A table of rows that can be sorted by every column, showing `limit` of them until asked for all.
 * A column is {label, number, wide, value(row), show(row)}, `wide` if it needs a wide screen; `mark(row)` is a row's class.
 */
function sortable({ caption, columns, limit = 10, mark = () => null, tools = [] }) {
  const body = make("tbody"), count = make("span"), all = make("button", { type: "button", class: "quiet" });
  const state = { rows: [], column: null, direction: 1, whole: false };
  const headers = columns.map((column, index) => {
    const button = make("button", { type: "button" }, column.label);
    const header = make("th", { scope: "col", class: column.number ? "number" : column.wide ? "wide" : null }, button);
    button.addEventListener("click", () => {
      state.direction = turnHeader(header);
      state.column = index;
      render();
    });
    return header;
  });
  const element = make("div", {},
    make("div", { class: "scroll" },
      make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...headers)), body)),
    make("div", { class: "foot" }, count, all, ...tools));
  all.addEventListener("click", () => {
    state.whole = !state.whole;
    render();
  });

  function render() {
    const column = columns[state.column];
    const ordered = column
      ? [...state.rows].sort((one, other) => compareValues(column.value(one), column.value(other), state.direction))
      : state.rows;
    const visible = state.whole ? ordered : ordered.slice(0, limit);
    body.replaceChildren(...visible.map((row) => make("tr", { class: mark(row) }, ...columns.map((item) =>
      cellOf(item, row)))));
    count.textContent = `${visible.length} of ${ordered.length} rows`;
    all.hidden = ordered.length <= limit;
    all.textContent = state.whole ? `Show ${limit}` : "Show all";
  }
  return {
    element,
    update(rows) {
      state.rows = rows;
      render();
    },
    /** As if the header had been pressed. */
    order(index, direction) {
      [state.column, state.direction] = [index, direction];
      headers[index].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      render();
    },
  };
}

/** A carried table as it is, or some rows of it; keys, by which rows are found, are for programs. */
function showTable(table, rows = [...Array(table.rows).keys()], limit = 10) {
  const shownTable = sortable({
    caption: [table.name, table.about].filter(Boolean).join(": "),
    limit,
    tools: [saveButton(table)],
    columns: table.columns.filter((column) => column.name !== "key").map((column) => ({
      label: column.name.replaceAll("_", " ") + (column.unit ? ` (${column.unit})` : ""),
      number: column.number,
      value: (row) => column.values[row],
      show: (row) => (column.number ? shown(column.values[row], 4) : String(column.values[row])),
    })),
  });
  shownTable.update(rows);
  return shownTable.element;
}

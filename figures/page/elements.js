"use strict";

/* Elements and numbers. All text from data enters the page as text, never as markup. */

/** An element with attributes and children; children are nodes or texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The element of this part within another one. */
function part(root, name) {
  return root.querySelector(`[data-part="${name}"]`);
}

const minus = (text) => text.replace("-", "−");

/** A number for reading, with so many digits. */
function shown(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return minus(Math.abs(value) >= 10 ** digits ? value.toFixed(0) : String(Number(value.toPrecision(digits))));
}

/** Nats, with their sign. */
function signed(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return (value >= 0 ? "+" : "") + minus(value.toFixed(2));
}

/** Of an estimate and its interval, as in numbers.py. */
const MOST_DECIMALS = 4;

/** An estimate with its interval, to the second digit of the interval's width: more would be noise. */
function estimated(value, low, high, withSign = false) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const sign = withSign && value > 0 ? "+" : "";
  if (low === null || high === null || low === undefined || !(high > low)) return sign + shown(value);
  const exact = 1 - Math.floor(Math.log10(high - low)), place = Math.min(exact, MOST_DECIMALS), unit = 10 ** place;
  if (exact > MOST_DECIMALS && Math.abs(value) < 10 ** -MOST_DECIMALS) return `${sign}${shown(value, 2)} [${shown(low, 2)}, ${shown(high, 2)}]`;
  const told = [value, low, high].map((end) => minus((Math.round(end * unit) / unit + 0).toFixed(Math.max(place, 0))));
  return `${sign}${told[0]} [${told[1]}, ${told[2]}]`;
}

/** Put a command into the clipboard; `button` says whether that worked. */
async function copy(command, button) {
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    // Without leave for the clipboard, the command is at least chosen, and the reader's own keys copy it.
    getSelection().selectAllChildren(command);
    button.textContent = "Selected";
  }
}

const numbers = (values) => values.map((value) => (value === null ? NaN : value));
const clipped = (text, length = 60) => (text.length > length ? `${text.slice(0, length)}…` : text);

/** Where x lies among rising places, as a value between the values there. */
function interpolate(x, places, values) {
  const last = places.length - 1;
  if (x <= places[0]) return values[0];
  for (let i = 1; i <= last; i++) {
    if (x <= places[i]) {
      const share = (x - places[i - 1]) / (places[i] - places[i - 1]);
      return values[i - 1] + share * (values[i] - values[i - 1]);
    }
  }
  return values[last];
}

/** Replace what stands in a container by one sentence. */
function say(container, sentence) {
  container.replaceChildren(make("p", { class: "note" }, sentence));
}

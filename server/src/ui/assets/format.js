// Numbers and times for people.

import { el, svg } from "./dom.js";

const whole = new Intl.NumberFormat("en");
const fraction = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });

export function number(value) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? whole.format(value) : fraction.format(value);
}

export function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

export function score(value) {
  return typeof value === "number" ? value.toFixed(4) : "–";
}

export function bytes(count) {
  const units = ["B", "KB", "MB", "GB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${count < 10 && unit > 0 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

/** `2026-01-31 12:00`, with the whole instant on hover. */
export function instant(text) {
  if (!text) return "–";
  return el("time", { datetime: text, title: text }, text.replace("T", " ").slice(0, 16));
}

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [name, length] = steps.find(([, length]) => seconds >= length) ?? steps.at(-1);
  const count = Math.floor(Math.max(seconds, 0) / length);
  return `${whole.format(count)} ${name}${count === 1 ? "" : "s"}`;
}

/** A feature's value as a node. */
export function value(found) {
  if (found === null || found === undefined) return el("span", { class: "absent" }, "no value");
  if (Array.isArray(found)) return bars(found);
  if (typeof found === "number") return number(found);
  if (typeof found === "boolean") return found ? "True" : "False";
  return String(found);
}

/** A vector as small bars around its zero line. */
function bars(elements) {
  const [width, height, gap] = [170, 30, elements.length > 60 ? 0 : 1];
  const top = Math.max(0, ...elements);
  const bottom = Math.min(0, ...elements);
  const scale = height / (top - bottom || 1);
  const zero = top * scale;
  const step = width / Math.max(elements.length, 1);
  const words = `${elements.length} numbers from ${number(Math.min(...elements))} to ${number(Math.max(...elements))}`;
  const drawn = elements.map((element, index) => {
    const length = Math.max(Math.abs(element) * scale, element === 0 ? 0 : 1);
    const place = {
      x: (index * step).toFixed(2),
      y: (element < 0 ? zero : zero - length).toFixed(2),
      width: Math.max(step - gap, 0.5).toFixed(2),
      height: length.toFixed(2),
      class: element < 0 ? "below" : null,
    };
    return svg("rect", place, svg("title", {}, `[${index}] ${number(element)}`));
  });
  const line = svg("line", { x1: 0, x2: width, y1: zero.toFixed(2), y2: zero.toFixed(2) });
  const frame = { class: "bars", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words };
  return svg("svg", frame, line, drawn);
}

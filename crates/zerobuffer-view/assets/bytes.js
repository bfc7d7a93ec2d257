// Frames that are no pictures: hex, and the same bytes as numbers of a chosen type, as a curve and in a table.
import { el, text, bytes as size, count } from "./dom.js";

const TYPES = {
  u8: [1, "getUint8"], i8: [1, "getInt8"], u16: [2, "getUint16"], i16: [2, "getInt16"], u32: [4, "getUint32"],
  i32: [4, "getInt32"], f32: [4, "getFloat32"], f64: [8, "getFloat64"],
};
/** Names of raw sound's samples. */
const SOUND = { S8: "i8", U8: "u8", S16LE: "i16", U16LE: "u16", S32LE: "i32", U32LE: "u32", F32LE: "f32", F64LE: "f64" };

export function hex(data, columns, rows) {
  const lines = [];
  for (let start = 0; start < data.length && lines.length < rows; start += columns) {
    const part = Array.from(data.subarray(start, start + columns));
    const digits = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const signs = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${start.toString(16).padStart(6, "0")}  ${digits.padEnd(columns * 3 - 1)}  ${signs}`);
  }
  return lines.join("\n");
}

export function numbers(data, type) {
  const [width, read] = TYPES[type];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const found = [];
  for (let at = 0; at + width <= data.byteLength; at += width) found.push(view[read](at, true));
  return found;
}

/** Words in columns of one width: 16, 8, 4, 2 or 1 to a line, whatever fits `most` characters. */
function lines(words, most) {
  const width = Math.max(...words.map((word) => word.length), 1);
  const columns = [16, 8, 4, 2].find((columns) => columns * (width + 2) <= most) ?? 1;
  const found = [];
  for (let at = 0; at < words.length; at += columns) {
    found.push(words.slice(at, at + columns).map((word) => word.padStart(width)).join("  "));
  }
  return found.join("\n");
}

export class Bytes {
  constructor() {
    this.chosen = null;
    this.select = el("select", { "aria-label": "type of the numbers" }, ...Object.keys(TYPES).map((type) => el("option", { value: type }, type)));
    this.select.addEventListener("change", () => { this.chosen = this.select.value; this.show(this.data, this.total, null); });
    this.dump = el("pre", { class: "hex" });
    this.curve = el("canvas", { class: "curve", width: 800, height: 120 });
    this.table = el("pre", { class: "numbers" });
    this.size = el("span", { class: "muted" });
    this.element = el("section", { class: "bytes" },
      el("div", { class: "row" }, el("label", {}, "numbers as ", this.select), this.size), this.curve, this.table, this.dump);
  }

  show(data, total, samples) {
    if (!data) return;
    Object.assign(this, { data, total });
    const type = this.chosen ?? SOUND[samples] ?? "u8";
    this.select.value = type;
    const narrow = matchMedia("(max-width: 640px)").matches;
    text(this.size, `${size(total)}${total > data.length ? `, the first ${count(data.length)} bytes shown` : ""}`);
    text(this.dump, hex(data, narrow ? 8 : 16, 64));
    const values = numbers(data, type);
    const digits = (value) => (Number.isInteger(value) ? String(value) : value.toPrecision(6));
    text(this.table, lines(values.slice(0, 96).map(digits), narrow ? 44 : 100));
    this.plot(values.slice(0, 1024));
  }

  plot(values) {
    const context = this.curve.getContext("2d");
    const { width, height } = this.curve;
    context.clearRect(0, 0, width, height);
    const finite = values.filter(Number.isFinite);
    if (finite.length < 2) return;
    const [low, top] = [Math.min(...finite), Math.max(...finite)];
    context.strokeStyle = getComputedStyle(this.curve).color;
    context.lineWidth = 1.5;
    context.beginPath();
    values.forEach((value, index) => {
      const y = height - 4 - ((value - low) / (top - low || 1)) * (height - 8);
      context.lineTo((index / (values.length - 1)) * width, Number.isFinite(y) ? y : height);
    });
    context.stroke();
  }
}

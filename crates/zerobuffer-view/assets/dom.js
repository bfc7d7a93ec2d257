// Elements and texts. Whatever a stream says of itself becomes a text node, never markup.

/** An element; `attributes` are set as such, `on…` are listeners, children are elements or texts. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** Sets a text where it has changed: nothing is laid out anew for nothing. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export const path = (name) => encodeURIComponent(name).replace(/[!'()*.]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);

export const count = (value) => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");

export function bytes(value) {
  if (value == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)}\u202f${units[unit]}`;
}

export function rate(value) {
  if (value == null) return "–";
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** A span in seconds. */
export function span(seconds) {
  if (seconds == null) return "–";
  if (seconds < 1e-6) return "0\u202fms";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)}\u202fµs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)}\u202fms`;
  if (seconds < 60) return `${seconds.toFixed(1)}\u202fs`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fmin`;
  return `${Math.floor(seconds / 3600)}\u202fh`;
}

/** How long ago; the server looks four times a second. */
export function ago(seconds) {
  if (seconds == null) return "";
  return seconds < 1 ? "now" : `${span(seconds)} ago`;
}

/** The caps in few words: size and format where there are some. */
export function brief(caps) {
  if (!caps) return "bytes";
  const field = (name) => new RegExp(`\\b${name}=(?:\\([a-z]+\\))?"?([\\w./-]+)`).exec(caps)?.[1];
  const [width, height, format] = [field("width"), field("height"), field("format")];
  if (width && height) return `${width} × ${height}${format ? ` · ${format}` : ""}`;
  return caps.split(",")[0].trim().slice(0, 60) || "bytes";
}

/** A button that copies, and says that it did. */
export function copier(value) {
  const button = el("button", { type: "button", class: "copy", title: "Copy" }, "copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(value());
      text(button, "copied");
    } catch {
      text(button, "select it");
    }
    setTimeout(() => text(button, "copy"), 1200);
  });
  return button;
}

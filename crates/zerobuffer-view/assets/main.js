// Which view is shown, by the address behind '#', and what the server says of all streams twice a second.
import { text, bytes } from "./dom.js";
import { Grid } from "./grid.js";
import { Single } from "./single.js";

const root = document.getElementById("view");
const summary = document.getElementById("summary");
let view = null;
let streams = [];

function name() {
  try {
    return decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  } catch {
    return "";
  }
}

function route() {
  view?.close();
  const chosen = name();
  view = chosen ? new Single(chosen) : new Grid();
  root.replaceChildren(view.element);
  document.title = chosen ? `${chosen} · ZeroBuffer` : "ZeroBuffer";
  view.update(streams);
  scrollTo(0, 0);
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/api/streams");
      if (!answer.ok) throw new Error(await answer.text());
      streams = (await answer.json()).streams;
      const speed = streams.reduce((sum, stream) => sum + (stream.bytes_per_second ?? 0), 0);
      text(summary, `${streams.length} stream${streams.length === 1 ? "" : "s"}${speed ? ` · ${bytes(speed)}/s` : ""}`);
      summary.classList.remove("lost");
      view.update(streams);
    } catch (error) {
      text(summary, error instanceof TypeError ? "the viewer's server does not answer" : String(error.message));
      summary.classList.add("lost");
    }
  }
  setTimeout(poll, 500);
}

const THEMES = ["system", "dark", "light"];
function theme(chosen) {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  text(button, { system: "◐ auto", dark: "● dark", light: "○ light" }[chosen]);
}
const button = document.getElementById("theme");
let chosen = localStorage.getItem("theme");
if (!THEMES.includes(chosen)) chosen = "system";
theme(chosen);
button.addEventListener("click", () => {
  chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
  localStorage.setItem("theme", chosen);
  theme(chosen);
});

addEventListener("hashchange", route);
route();
poll();

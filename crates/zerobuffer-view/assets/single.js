// One stream by itself: its picture as exact as the browser can show it, and everything that is known of it.
import { el, text, path, bytes, rate, span, count, copier } from "./dom.js";
import { Feed } from "./feed.js";
import { Painter, canDraw } from "./pixels.js";
import { Bytes } from "./bytes.js";

/** Pixels around the pointer that the lens shows, and how large. */
const LENS = 13;
const ZOOM = 9;
/** The names of matrices that people know. */
const MATRIX = { bt709: "BT.709", smpte170m: "BT.601", "bt2020-ncl": "BT.2020" };

/** `30000/1001` as a number. */
function fraction(rate) {
  const [above, below] = rate.split("/").map(Number);
  return String(Math.round((100 * above) / (below || 1)) / 100);
}

function tile(label) {
  const value = el("b", {}, "–");
  return { element: el("div", { class: "tile" }, value, el("span", {}, label)), value };
}

export class Single {
  constructor(name) {
    this.name = name;
    this.frozen = false;
    this.rates = [];
    this.point = null;
    this.canvas = el("canvas", { class: "picture", width: 16, height: 9, tabindex: 0, "aria-label": `picture of ${name}` });
    this.painter = new Painter(this.canvas);
    this.bytes = new Bytes();
    this.build();
    this.feed = new Feed(name, { mode: "pixels" }, { onFrame: (frame) => this.frame(frame), onGone: (why) => this.say(why) });
    this.keys = (event) => this.key(event);
    document.addEventListener("keydown", this.keys);
    this.timer = setInterval(() => this.tick(), 250);
  }

  build() {
    const button = (label, title, action) => el("button", { type: "button", title, onclick: action }, label);
    this.freezer = button("Freeze", "Keep this picture (space)", () => this.freeze(!this.frozen));
    this.scaler = button("1:1", "One pixel of the picture on one of the screen", () => this.scale());
    this.stretcher = button("Stretch", "Black and white at the darkest and the lightest pixel", () => {
      this.painter.stretch = !this.painter.stretch;
      this.stretcher.setAttribute("aria-pressed", this.painter.stretch);
      if (this.frozen && this.painter.frame) this.painter.draw(this.painter.frame);
    });
    this.stretcher.hidden = true;
    this.saver = button("PNG", "Save the picture (p)", () => this.save("png"));
    this.state = el("span", { class: "state" });
    this.note = el("p", { class: "note", hidden: true, role: "status" });
    this.lens = el("canvas", { class: "lens", width: LENS * ZOOM, height: LENS * ZOOM, hidden: true });
    this.swatch = el("i", { class: "swatch" });
    this.values = el("output", {}, "point at a pixel");
    this.stage = el("div", { class: "stage" }, this.canvas, this.bytes.element, this.lens);
    this.bytes.element.hidden = true;
    this.tiles = Object.fromEntries(["fps", "shown", "age", "latency", "skipped", "dropped"].map((label) => [label, tile(label)]));
    this.tiles.skipped.element.title = "frames that this page passed over: it shows the newest one";
    this.tiles.dropped.element.title = "frames that the source numbered and never wrote";
    this.tiles.latency.element.title = "from the stamp's time until the server sent the frame";
    this.spark = el("canvas", { class: "spark", width: 320, height: 40, "aria-label": "frames per second over the last minute" });
    this.facts = el("dl", {});
    this.caps = el("pre", { class: "caps" });
    const at = (end) => new URL(end, location.origin).href;
    const stream = at(`/stream/${path(this.name)}.mjpeg`);
    const use = (label, value) => el("div", { class: "use" }, el("span", {}, label), el("code", {}, value), copier(() => value));
    this.uses = el("div", {}, use("OpenCV", `cv2.VideoCapture("${stream}")`), use("ffplay", `ffplay "${stream}"`),
      use("Ultralytics", `model("${stream}", stream=True)`), use("picture", at(`/snapshot/${path(this.name)}.png`)));
    this.element = el("article", { class: "single" },
      el("div", { class: "head" },
        el("a", { class: "back", href: "#/", title: "All streams (Esc)" }, "←"),
        el("h1", { title: this.name }, this.name), this.state,
        el("div", { class: "tools" }, this.freezer, this.scaler, this.stretcher,
          this.saver, button("Raw", "Save the frame's bytes (r)", () => this.save("raw")))),
      el("div", { class: "body" },
        el("div", { class: "left" }, this.note, this.stage, el("div", { class: "inspect" }, this.swatch, this.values)),
        el("aside", {},
          el("div", { class: "tiles" }, ...Object.values(this.tiles).map(({ element }) => element)),
          this.spark, this.facts,
          el("h2", {}, "Caps"), this.caps,
          el("h2", {}, "Elsewhere"),
          this.uses, use("bytes", `curl -O ${at(`/snapshot/${path(this.name)}.raw`)}`))));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerdown", (event) => this.move(event));
    this.canvas.addEventListener("pointerleave", () => { this.point = null; this.inspect(); });
  }

  async frame(frame) {
    const { picture, note, samples } = frame.description ?? {};
    if (picture?.wire && frame.head.kind === 1 && !canDraw(picture.wire)) {
      this.feed.change({ mode: "jpeg" });
      return;
    }
    const drawn = await this.painter.draw(frame);
    if (this.frozen) return;
    this.canvas.hidden = !drawn;
    this.bytes.element.hidden = drawn;
    for (const part of [this.scaler, this.saver, this.uses]) part.hidden = !drawn;
    this.stretcher.hidden = !(drawn && picture.wire?.startsWith("GRAY16"));
    if (drawn) {
      this.stage.style.setProperty("--ratio", String(this.canvas.width / this.canvas.height));
      const zoom = this.canvas.getBoundingClientRect().width / this.canvas.width;
      this.canvas.classList.toggle("sharp", zoom > 1.5);
    } else {
      this.painter.frame = frame;
      this.bytes.show(frame.bytes, frame.head.size, samples);
    }
    this.say(note ?? "");
    this.inspect();
    if (!this.begun) {
      // What is known with the first frame is there with it, not half a second later.
      this.begun = true;
      if (this.live) this.update([this.live]);
      this.tick();
    }
  }

  say(note) {
    text(this.note, note);
    this.note.hidden = !note;
  }

  freeze(frozen) {
    this.frozen = frozen;
    this.feed.pause(frozen);
    text(this.freezer, frozen ? "Go on" : "Freeze");
    this.freezer.setAttribute("aria-pressed", frozen);
    this.stage.classList.toggle("frozen", frozen);
  }

  scale() {
    const one = this.stage.classList.toggle("one");
    this.scaler.setAttribute("aria-pressed", one);
    this.canvas.style.setProperty("--width", `${this.canvas.width / devicePixelRatio}px`);
  }

  key(event) {
    if (event.target.closest?.("select, input, button, a") || event.ctrlKey || event.metaKey) return;
    const action = { " ": () => this.freeze(!this.frozen), Escape: () => { location.hash = "#/"; }, p: () => this.save("png"), r: () => this.save("raw") }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  move(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) * this.canvas.width) / box.width);
    const y = Math.floor(((event.clientY - box.top) * this.canvas.height) / box.height);
    const stage = this.stage.getBoundingClientRect();
    this.lens.style.setProperty("left", `${Math.min(event.clientX - stage.left + 18, stage.width - 125)}px`);
    this.lens.style.setProperty("top", `${Math.max(event.clientY - stage.top - 125, 8)}px`);
    this.point = { x, y };
    this.inspect();
  }

  inspect() {
    const { point } = this;
    const found = point && this.painter.valueAt(point.x, point.y);
    this.lens.hidden = !found;
    if (!found) { text(this.values, this.canvas.hidden ? "" : "point at a pixel"); this.swatch.style.removeProperty("background"); return; }
    const { screen, values, exact } = found;
    this.swatch.style.setProperty("background", `rgb(${screen.red} ${screen.green} ${screen.blue})`);
    text(this.values, `x ${point.x}  y ${point.y}   ${values.map(([name, value]) => `${name} ${value}`).join("  ")}${exact ? "" : "  (converted)"}`);
    const context = this.lens.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.fillStyle = "#000";
    context.fillRect(0, 0, LENS * ZOOM, LENS * ZOOM);
    const half = (LENS - 1) / 2;
    context.drawImage(this.canvas, point.x - half, point.y - half, LENS, LENS, 0, 0, LENS * ZOOM, LENS * ZOOM);
    context.strokeStyle = "#fff";
    context.strokeRect(half * ZOOM - 0.5, half * ZOOM - 0.5, ZOOM + 1, ZOOM + 1);
  }

  async save(kind) {
    const link = el("a", { download: "" });
    const { frame } = this.painter;
    if (this.frozen && frame) {
      const wire = frame.description?.picture?.wire;
      const blob = kind === "png" ? await new Promise((done) => this.canvas.toBlob(done)) : new Blob([frame.bytes]);
      link.href = URL.createObjectURL(blob);
      link.download = `${this.name}-${frame.head.sequence}${kind === "raw" && wire ? `-${wire}` : ""}.${kind}`;
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } else {
      link.href = `/snapshot/${path(this.name)}.${kind}`;
      link.download = `${this.name}.${kind}`;
    }
    link.click();
  }

  update(streams) {
    const live = streams.find(({ name }) => name === this.name);
    const isFirst = !this.live;
    this.live = live;
    if (isFirst) this.tick();
    this.element.dataset.state = live?.state ?? "gone";
    text(this.state, live?.state ?? "gone");
    if (!live) return;
    this.rates.push(live.frames_per_second ?? 0);
    if (this.rates.length > 120) this.rates.shift();
    this.plot();
    const end = (peer) => (peer ? `process ${peer.pid}${peer.alive ? "" : ", dead"}${peer.level ? "" : ", another implementation"}` : "none");
    const picture = this.feed.description?.picture;
    const facts = [
      picture && ["picture", `${picture.width} × ${picture.height}, ${picture.format}${picture.rate ? `, ${fraction(picture.rate)} fps` : ""}`],
      picture?.color && ["colour", `${MATRIX[picture.color.matrix]}, ${picture.color.fullRange ? "full" : "limited"} range`],
      ["frame", this.feed.stats.head ? `no. ${count(this.feed.stats.head.sequence)}, ${bytes(this.feed.stats.head.size)}` : "–"],
      ["speed", live.bytes_per_second == null ? "–" : `${bytes(live.bytes_per_second)}/s`],
      ["ring", `${bytes(live.used_bytes)} of ${bytes(live.ring_bytes)}, ${count(live.frames_waiting)} waiting`],
      ["writer", end(live.writer)], ["reader", end(live.reader)],
      ...live.defects.map((defect) => ["damaged", defect]),
    ].filter(Boolean);
    const shown = facts.map(([key, value]) => `${key}\n${value}`).join("\n");
    if (this.shown !== shown) {
      this.shown = shown;
      this.facts.replaceChildren(...facts.flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));
    }
    text(this.caps, live.caps ?? "none");
  }

  tick() {
    const { stats } = this.feed;
    const set = (name, value) => text(this.tiles[name].value, value);
    const age = this.frozen || stats.last == null ? this.live?.last_frame_age_seconds : (performance.now() - stats.last) / 1000;
    set("fps", rate(this.live?.frames_per_second));
    set("shown", this.frozen ? "frozen" : rate(this.feed.fps()));
    set("age", span(age));
    set("latency", stats.head?.latency == null ? "–" : span(stats.head.latency / 1e9));
    set("skipped", count(stats.missed));
    set("dropped", stats.head?.number == null ? "–" : count(stats.dropped));
  }

  plot() {
    const context = this.spark.getContext("2d");
    const { width, height } = this.spark;
    context.clearRect(0, 0, width, height);
    context.fillStyle = getComputedStyle(this.spark).color;
    const top = Math.max(...this.rates, 1);
    const step = width / 120;
    this.rates.forEach((value, index) => {
      const tall = Math.max(1, (value / top) * (height - 2));
      context.fillRect((120 - this.rates.length + index) * step, height - tall, step - 0.7, tall);
    });
  }

  close() {
    this.feed.close();
    clearInterval(this.timer);
    document.removeEventListener("keydown", this.keys);
  }
}

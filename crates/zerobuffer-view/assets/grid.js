// All streams at once: a card for each, with a small picture that comes only while it can be seen.
import { el, text, path, bytes, rate, ago, brief, count } from "./dom.js";
import { Feed } from "./feed.js";
import { Painter } from "./pixels.js";
import { hex } from "./bytes.js";

const SMALL = { mode: "jpeg", width: 480, fps: 10 };

class Card {
  constructor(name, observer) {
    this.name = name;
    this.canvas = el("canvas", { width: 16, height: 9 });
    this.dump = el("pre", { class: "hex small", hidden: true });
    this.empty = el("p", { class: "empty" }, "no frame yet");
    this.state = el("span", { class: "state" });
    this.fps = el("span", { class: "badge" });
    this.what = el("span", {});
    this.age = el("span", {});
    this.lost = el("span", { class: "lost", title: "frames that the source numbered and never wrote" });
    this.speed = el("span", {});
    this.fill = el("i", {});
    this.element = el("a", { class: "card", href: `#/${path(name)}` },
      el("div", { class: "thumb" }, this.canvas, this.dump, this.empty, this.state, this.fps),
      el("div", { class: "about" },
        el("h2", { title: name }, name),
        el("p", { class: "meta" }, this.what, this.speed, this.lost, this.age)),
      el("div", { class: "fill", title: "how full the ring is" }, this.fill));
    this.painter = new Painter(this.canvas);
    observer.observe(this.element);
    this.element.card = this;
  }

  visible(is) {
    if (is && !this.feed) {
      this.feed = new Feed(this.name, SMALL, { onFrame: (frame) => this.frame(frame), onGone: () => {} });
    } else if (!is && this.feed) {
      this.feed.close();
      this.feed = null;
    }
  }

  async frame(frame) {
    const drawn = await this.painter.draw(frame);
    this.canvas.hidden = !drawn;
    this.dump.hidden = drawn;
    this.empty.hidden = true;
    if (!drawn) text(this.dump, hex(frame.bytes, 8, 9));
  }

  update(live) {
    this.element.dataset.state = live.state;
    text(this.state, live.state);
    text(this.fps, live.frames_per_second ? `${rate(live.frames_per_second)} fps` : "");
    this.fps.hidden = !live.frames_per_second;
    text(this.what, brief(live.caps));
    text(this.speed, live.bytes_per_second ? `${bytes(live.bytes_per_second)}/s` : "");
    text(this.age, ago(live.last_frame_age_seconds));
    this.lost.hidden = !live.frames_dropped;
    text(this.lost, live.frames_dropped ? `${count(live.frames_dropped)} dropped` : "");
    this.fill.style.setProperty("width", `${Math.min(100, (100 * live.used_bytes) / Math.max(live.ring_bytes, 1))}%`);
  }
}

export class Grid {
  constructor() {
    this.cards = new Map();
    this.list = el("section", { class: "grid", "aria-label": "streams" });
    this.none = el("section", { class: "none", hidden: true },
      el("h1", {}, "No stream is here yet"),
      el("p", {}, "Streams appear as soon as a reader has created their buffer. For a first one, run in two terminals:"),
      el("pre", {}, "zerobuffer recv camera > /dev/null\nffmpeg -re -f lavfi -i testsrc2=s=1280x720:r=30 -pix_fmt yuv420p -f yuv4mpegpipe - | zerobuffer send camera"));
    this.element = el("div", {}, this.list, this.none);
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) target.card?.visible(isIntersecting);
    }, { rootMargin: "100px" });
  }

  update(streams) {
    const names = new Set(streams.map(({ name }) => name));
    for (const [name, card] of this.cards) {
      if (!names.has(name)) { card.visible(false); this.observer.unobserve(card.element); card.element.remove(); this.cards.delete(name); }
    }
    streams.forEach((live, index) => {
      let card = this.cards.get(live.name);
      if (!card) {
        card = new Card(live.name, this.observer);
        this.cards.set(live.name, card);
        this.list.insertBefore(card.element, this.list.children[index] ?? null);
      }
      card.update(live);
    });
    this.none.hidden = streams.length > 0;
  }

  close() {
    this.observer.disconnect();
    for (const card of this.cards.values()) card.visible(false);
  }
}

// The newest frames of one stream over a WebSocket. The server sends a frame only for a credit that the page has given,
// and the page gives one when a frame is on the screen: nothing can queue up anywhere.
import { path } from "./dom.js";

const HEAD = 64;
const NONE = 0xffffffffffffffffn;

/** The numbers in front of a message's payload. */
function head(buffer) {
  const view = new DataView(buffer);
  const number = (index) => Number(view.getBigUint64(index * 8, true));
  const optional = (index) => (view.getBigUint64(index * 8, true) === NONE ? null : number(index));
  return {
    kind: number(0), description: number(1), sequence: number(2), missed: number(3), size: number(4),
    number: optional(5), time: optional(6), latency: optional(7),
  };
}

export class Feed {
  /** `ask`: parameters of the address. `onFrame(frame, description)` may be a promise; `onGone(why)`. */
  constructor(name, ask, { onFrame, onGone }) {
    Object.assign(this, { name, ask, onFrame, onGone });
    this.description = null;
    this.waiting = null;
    this.owed = 0;
    this.paused = false;
    this.closed = false;
    this.stats = { drawn: [], missed: 0, dropped: 0, received: 0, last: null, head: null };
    this.open();
  }

  open() {
    const url = new URL(`/ws/${path(this.name)}?${new URLSearchParams(this.ask)}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => { this.owed = 2; this.pay(); };
    socket.onmessage = ({ data }) => this.take(data);
    socket.onclose = () => {
      if (this.closed || this.socket !== socket) return;
      this.onGone?.("the viewer's server does not answer");
      setTimeout(() => { if (!this.closed && this.socket === socket) this.open(); }, 1000);
    };
  }

  /** The same stream in another form. */
  change(ask) {
    this.ask = ask;
    this.description = null;
    this.waiting = null;
    const old = this.socket;
    this.open();
    old.close();
  }

  close() {
    this.closed = true;
    this.socket.close();
  }

  take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "description") this.description = message;
      if (message.type === "gone") this.onGone?.(message.why);
      return;
    }
    const frame = { head: head(data), bytes: new Uint8Array(data, HEAD), description: this.description };
    this.stats.received += data.byteLength;
    this.count(frame.head);
    if (this.paused) { this.owed += 1; return; }
    if (this.waiting) { this.waiting = frame; this.owed += 1; this.pay(); return; }
    this.waiting = frame;
    requestAnimationFrame(() => this.draw());
  }

  async draw() {
    const frame = this.waiting;
    if (!frame || this.closed) return;
    if (!this.paused) {
      try {
        await this.onFrame(frame);
        this.stats.drawn.push(performance.now());
      } catch (error) {
        console.error(error);
      }
    }
    this.waiting = null;
    this.owed += 1;
    this.pay();
  }

  /** Gives the credits that are owed, unless the picture is frozen. */
  pay() {
    if (this.paused || this.socket.readyState !== WebSocket.OPEN || this.owed === 0) return;
    this.socket.send(String(this.owed));
    this.owed = 0;
  }

  pause(paused) {
    this.paused = paused;
    this.pay();
  }

  /** Frames that were passed over for this page, and those that their source lost before the ring: its own numbers jump. */
  count(now) {
    const { stats } = this;
    const before = stats.head;
    stats.missed += now.missed;
    if (before && now.number != null && before.number != null && now.sequence > before.sequence) {
      const lost = now.number - before.number - (now.sequence - before.sequence);
      if (lost > 0) stats.dropped += lost;
    }
    // The first one was there before the page; a change of form sends the same one again.
    if (before && now.sequence !== before.sequence) stats.last = performance.now();
    stats.head = now;
  }

  /** Frames drawn per second, over the last two. */
  fps() {
    const now = performance.now();
    const { drawn } = this.stats;
    while (drawn.length && now - drawn[0] > 2000) drawn.shift();
    if (drawn.length < 2) return 0;
    return ((drawn.length - 1) * 1000) / Math.max(now - drawn[0], 1);
  }
}

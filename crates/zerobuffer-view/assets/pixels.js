// From the bytes of a frame to the pixels of a canvas, and to the numbers under the pointer.

/** Formats that WebCodecs takes: its name, and the planes in its order. */
const CODECS = {
  I420: ["I420", [0, 1, 2]], YV12: ["I420", [0, 2, 1]], Y42B: ["I422", [0, 1, 2]], Y444: ["I444", [0, 1, 2]],
  NV12: ["NV12", [0, 1]], RGBx: ["RGBX", [0]], RGBA: ["RGBX", [0]], BGRx: ["BGRX", [0]], BGRA: ["BGRX", [0]],
};
/** Formats whose pixels are bytes side by side: bytes of a pixel, where red, green and blue are. */
const BYTES = {
  RGB: [3, 0, 1, 2], BGR: [3, 2, 1, 0], RGBx: [4, 0, 1, 2], RGBA: [4, 0, 1, 2], BGRx: [4, 2, 1, 0], BGRA: [4, 2, 1, 0],
  xRGB: [4, 1, 2, 3], ARGB: [4, 1, 2, 3], xBGR: [4, 3, 2, 1], ABGR: [4, 3, 2, 1], GRAY8: [1, 0, 0, 0],
};
/** Chroma: shifts of columns and rows. */
const CHROMA = { I420: [1, 1], YV12: [1, 1], NV12: [1, 1], Y42B: [1, 0], Y444: [0, 0] };

const hasCodecs = typeof VideoFrame === "function";

/** Whether this browser can make a picture of such bytes. */
export const canDraw = (wire) => wire in BYTES || wire.startsWith("GRAY16") || (hasCodecs && wire in CODECS);

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.image = null;
    this.stretch = false;
    this.frame = null;
  }

  /** Draws a frame; false if it is no picture. */
  async draw(frame) {
    const { picture } = frame.description ?? {};
    if (!picture || frame.head.kind === 3) return false;
    if (frame.head.kind === 2) {
      const bitmap = await createImageBitmap(new Blob([frame.bytes], { type: "image/jpeg" }));
      this.size(bitmap.width, bitmap.height);
      this.context.drawImage(bitmap, 0, 0);
      bitmap.close();
    } else {
      this.size(picture.width, picture.height);
      if (hasCodecs && picture.wire in CODECS) this.byCodecs(frame.bytes, picture);
      else this.byHand(frame.bytes, picture);
    }
    this.frame = frame;
    return true;
  }

  size(width, height) {
    if (this.canvas.width === width && this.canvas.height === height) return;
    Object.assign(this.canvas, { width, height });
    this.image = null;
  }

  byCodecs(data, { wire, width, height, planes, color }) {
    const [format, order] = CODECS[wire];
    const [columns, rows] = CHROMA[wire] ?? [0, 0];
    const video = new VideoFrame(data, {
      format, timestamp: 0,
      // Half a pair at the edge is there, but not shown: the canvas is smaller.
      codedWidth: width + (width & columns),
      codedHeight: height + (height & rows),
      layout: order.map((plane) => ({ offset: planes[plane][0], stride: planes[plane][1] })),
      colorSpace: color ?? { primaries: "bt709", transfer: "iec61966-2-1", matrix: "rgb", fullRange: true },
    });
    this.context.drawImage(video, 0, 0);
    video.close();
  }

  byHand(data, picture) {
    const { wire, width, height, planes: [[offset, stride]] } = picture;
    this.image ??= new ImageData(width, height);
    const out = new Uint32Array(this.image.data.buffer);
    if (wire.startsWith("GRAY16")) {
      const [low, factor] = this.levels(data, picture);
      const high = wire.endsWith("LE") ? 1 : 0;
      for (let y = 0, at = 0; y < height; y += 1) {
        for (let x = 0, from = offset + y * stride; x < width; x += 1, from += 2, at += 1) {
          const value = (data[from + high] << 8) | data[from + 1 - high];
          const gray = Math.min(255, Math.max(0, ((value - low) * factor) | 0));
          out[at] = 0xff000000 | (gray * 0x010101);
        }
      }
    } else {
      const [step, red, green, blue] = BYTES[wire];
      for (let y = 0, at = 0; y < height; y += 1) {
        for (let x = 0, from = offset + y * stride; x < width; x += 1, from += step, at += 1) {
          out[at] = 0xff000000 | (data[from + blue] << 16) | (data[from + green] << 8) | data[from + red];
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  /** What is black, and how many greys a step is: all 65536, or those that are in the picture. */
  levels(data, { wire, width, height, planes: [[offset, stride]] }) {
    if (!this.stretch) return [0, 1 / 256];
    const high = wire.endsWith("LE") ? 1 : 0;
    let [low, top] = [65535, 0];
    for (let y = 0; y < height; y += 1) {
      for (let x = 0, from = offset + y * stride; x < width; x += 1, from += 2) {
        const value = (data[from + high] << 8) | data[from + 1 - high];
        if (value < low) low = value;
        if (value > top) top = value;
      }
    }
    return [low, 255 / Math.max(top - low, 1)];
  }

  /** The numbers of a pixel as they are in the ring, and its colour on the screen. */
  valueAt(x, y) {
    const { frame } = this;
    if (!frame || x < 0 || y < 0 || x >= this.canvas.width || y >= this.canvas.height) return null;
    const [red, green, blue] = this.context.getImageData(x, y, 1, 1).data;
    const screen = { red, green, blue };
    if (frame.head.kind !== 1) return { screen, values: [["R", red], ["G", green], ["B", blue]], exact: false };
    const { wire, format, planes } = frame.description.picture;
    const data = frame.bytes;
    const at = (plane, column, row) => data[planes[plane][0] + row * planes[plane][1] + column];
    if (wire.startsWith("GRAY16")) {
      const [first, second] = [at(0, x * 2, y), at(0, x * 2 + 1, y)];
      return { screen, values: [["Y", wire.endsWith("LE") ? (second << 8) | first : (first << 8) | second]], exact: true };
    }
    if (wire in CHROMA) {
      const [columns, rows] = CHROMA[wire];
      const [cx, cy] = [x >> columns, y >> rows];
      const luma = at(0, x, y);
      if (wire === "NV12") return { screen, values: [["Y", luma], ["U", at(1, cx * 2, cy)], ["V", at(1, cx * 2 + 1, cy)]], exact: true };
      const [cb, cr] = wire === "YV12" ? [2, 1] : [1, 2];
      return { screen, values: [["Y", luma], ["U", at(cb, cx, cy)], ["V", at(cr, cx, cy)]], exact: true };
    }
    const [step, r, g, b] = BYTES[wire];
    if (step === 1) return { screen, values: [["Y", at(0, x, y)]], exact: true };
    const values = [["R", r], ["G", g], ["B", b]].map(([name, place]) => [name, at(0, x * step + place, y)]);
    return { screen, values, exact: wire === format };
  }
}

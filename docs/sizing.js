// The calculator of the page on sizing: the formula that stands below it.
"use strict";

function sizeRing(bytes, rate, pauseMs, held) {
  const frames = Math.ceil((rate * pauseMs) / 1000) + held + 3;
  const total = Math.ceil((bytes + 16) / 16) * 16;
  const ring = Math.ceil((frames * (total + 16)) / 64) * 64;
  return { frames, ring };
}

function human(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit + 1 < units.length) {
    bytes /= 1024;
    unit += 1;
  }
  // Rounded up: who reserves as much has enough.
  return `${Math.ceil(bytes * 100) / 100} ${units[unit]}`;
}

function startCalculator() {
  const inputs = ["bytes", "rate", "pause", "held"].map((name) => document.getElementById(`sizing-${name}`));
  if (inputs.some((input) => input === null)) return;
  const show = () => {
    const numbers = inputs.map((input) => Number(input.value));
    const good = numbers.every((number) => Number.isFinite(number) && number >= 0) && numbers[0] >= 1;
    const { frames, ring } = good ? sizeRing(...numbers) : { frames: "?", ring: NaN };
    document.getElementById("sizing-ring").textContent = good ? `${ring} bytes (${human(ring)})` : "?";
    document.getElementById("sizing-frames").textContent = String(frames);
    document.getElementById("sizing-room").textContent = good ? human(ring + 65536) : "?";
  };
  for (const input of inputs) input.addEventListener("input", show);
  show();
}

startCalculator();

// @ts-check
// Pictures by which a line is counted: those of now, or those of a recording, with pause and a step back.
import { ask } from "./api.js";

const POLL_MS = 200;
const BLIND_POLL_MS = 3000;
const TICK_MS = 50;
const RETRY_MS = 1000;
const STEP_BACK_MS = 5000;
const GAP_MS = 3000;
const AHEAD = 40;
const BEHIND = 60;
const AT_ONCE = 4;

/**
 * What both kinds have in common. `shownAt` is when the shown picture was taken, "" without one;
 * `isLive` whether time goes on by itself; `begin` returns the time from which on is counted.
 * @typedef {(name: string) => HTMLElement} Parts
 * @typedef {{[word in "in" | "out" | "by_hand" | "by_platform" | "matched" | "factor" | "unknown" | "wait" | "offline" | "play" | "pause" | "empty" | "gone" | "over" | "gaps"]: string}} Words
 * @typedef {{shownAt: string, isLive: boolean, recording: string | null, onShown: () => void, onStepBack: (at: string) => void, run: () => void, begin: () => string, pause: () => void, stop: () => void}} Pictures
 */

/** @implements {Pictures} */
export class LivePictures {
  isLive = true;
  recording = null;
  shownAt = "";
  onShown = () => {};
  /** @param {string} _at */
  onStepBack = (_at) => {};

  /** @param {string} camera @param {Parts} part */
  constructor(camera, part) {
    this.path = `/v1/cameras/${encodeURIComponent(camera)}/snapshot`;
    this.part = part;
    this.image = /** @type {HTMLImageElement} */ (part("picture"));
    this.tag = "";
    this.url = "";
  }

  begin() {
    return this.shownAt || new Date().toISOString();
  }

  pause() {}

  stop() {}

  async run() {
    for (;;) {
      const isThere = await this.fetch();
      this.onShown();
      await new Promise((done) => window.setTimeout(done, isThere ? POLL_MS : BLIND_POLL_MS));
    }
  }

  /** @returns {Promise<boolean>} whether there is a picture */
  async fetch() {
    const headers = this.tag ? { "If-None-Match": this.tag } : undefined;
    const reply = await fetch(this.path, { headers }).catch(() => null);
    const isThere = reply !== null && ((reply.ok && reply.status !== 204) || reply.status === 304);
    this.part("blind").hidden = isThere;
    if (!isThere) this.shownAt = "";
    if (!isThere || !reply.ok) return isThere;
    this.tag = reply.headers.get("ETag") ?? "";
    this.shownAt = reply.headers.get("X-Captured-At") ?? new Date().toISOString();
    const before = this.url;
    this.url = URL.createObjectURL(await reply.blob());
    this.image.src = this.url;
    this.image.hidden = false;
    if (before) URL.revokeObjectURL(before);
    return true;
  }
}

/** @implements {Pictures} */
export class RecordedPictures {
  isLive = false;
  shownAt = "";
  onShown = () => {};
  /** @param {string} _at */
  onStepBack = (_at) => {};

  /** @param {string} recording @param {Parts} part @param {Words} words */
  constructor(recording, part, words) {
    this.recording = recording;
    this.path = `/v1/audits/recordings/${encodeURIComponent(recording)}`;
    this.part = part;
    this.words = words;
    this.image = /** @type {HTMLImageElement} */ (part("picture"));
    /** @type {string[]} */
    this.times = [];
    /** @type {number[]} the same in milliseconds */
    this.at = [];
    this.index = -1;
    this.position = 0;
    this.speed = 1;
    this.isPlaying = false;
    this.isGone = false;
    this.tickedMs = 0;
    /** @type {Map<number, string>} pictures that are loaded, "" while they are loading */
    this.urls = new Map();
    this.loading = 0;
  }

  async run() {
    this.part("play").addEventListener("click", () => this.play(!this.isPlaying));
    this.part("back").addEventListener("click", () => this.stepBack());
    for (const speed of this.speeds()) {
      speed.addEventListener("click", () => this.setSpeed(Number(speed.dataset.speed)));
    }
    document.addEventListener("keydown", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea")) return;
      if (event.key.toLowerCase() === "p") this.play(!this.isPlaying);
      else if (event.key.toLowerCase() === "b") this.stepBack();
    });
    const reply = await ask("GET", this.path);
    this.times = reply.ok ? reply.body.times : [];
    if (!this.times.length) {
      this.tell(reply.ok ? this.words.empty : reply.body.detail || this.words.offline);
      return;
    }
    this.at = this.times.map((time) => Date.parse(time));
    const missing = this.at.map((at, n) => (n ? at - this.timeOf(n - 1) : 0)).filter((gap) => gap > GAP_MS);
    if (missing.length) this.tell(`${this.words.gaps} ${Math.round(missing.reduce((sum, gap) => sum + gap) / 1000)} s`);
    for (const name of ["play", "back", "begin"]) this.part(name).removeAttribute("disabled");
    this.seek(this.timeOf(0));
    window.setInterval(() => this.tick(), TICK_MS);
  }

  /** Count from the first picture on. */
  begin() {
    this.seek(this.timeOf(0));
    this.play(true);
    return this.times[0] ?? "";
  }

  pause() {
    this.play(false);
  }

  stop() {
    this.play(false);
    this.isGone = true;
    for (const name of ["play", "back"]) this.part(name).setAttribute("disabled", "");
  }

  /** @returns {HTMLElement[]} */
  speeds() {
    return Array.from(this.part("speeds").querySelectorAll("button"));
  }

  /** @param {number} speed */
  setSpeed(speed) {
    this.speed = speed;
    for (const one of this.speeds()) one.setAttribute("aria-pressed", String(Number(one.dataset.speed) === speed));
  }

  /** @param {boolean} isPlaying */
  play(isPlaying) {
    if (this.isGone || !this.at.length) return;
    this.isPlaying = isPlaying && this.index < this.at.length - 1;
    this.tickedMs = performance.now();
    this.part("play").textContent = this.isPlaying ? this.words.pause : this.words.play;
  }

  stepBack() {
    if (this.isGone || !this.at.length) return;
    this.seek(Math.max(this.timeOf(0), this.timeOf(this.index) - STEP_BACK_MS));
    this.onStepBack(this.times[this.index] ?? "");
  }

  /** @param {number} position */
  seek(position) {
    this.position = position;
    this.index = Math.max(0, this.at.findLastIndex((at) => at <= position));
    this.shownAt = "";
    this.show();
  }

  /** Advance to the last picture that is due; never past one that is not there yet. */
  tick() {
    const now = performance.now();
    const elapsed = Math.min(now - this.tickedMs, 1000) * this.speed;
    this.tickedMs = now;
    if (!this.isPlaying || !this.isLoaded(this.index)) return;
    this.position += elapsed;
    let next = this.index + 1;
    if (this.timeOf(next) - this.timeOf(this.index) > GAP_MS) this.position = Math.max(this.position, this.timeOf(next));
    while (this.timeOf(next) <= this.position && this.isLoaded(next)) next += 1;
    this.position = Math.min(this.position, this.timeOf(next));
    if (next - 1 === this.index) return;
    this.index = next - 1;
    if (this.index === this.at.length - 1) {
      this.play(false);
      this.tell(this.words.over);
    }
    this.show();
  }

  /** @param {number} number @returns {number} when a picture was taken; never, after the last one */
  timeOf(number) {
    return this.at[number] ?? Number.POSITIVE_INFINITY;
  }

  /** @param {number} number */
  isLoaded(number) {
    return Boolean(this.urls.get(number));
  }

  show() {
    this.fill();
    const url = this.urls.get(this.index);
    if (!url) return; // shown once it is loaded
    this.image.src = url;
    this.image.hidden = false;
    this.shownAt = this.times[this.index] ?? "";
    const first = this.timeOf(0);
    const progress = /** @type {HTMLProgressElement} */ (this.part("progress"));
    progress.max = Math.max(1, this.timeOf(this.at.length - 1) - first);
    progress.value = this.timeOf(this.index) - first;
    this.onShown();
  }

  fill() {
    if (this.isGone) return;
    const last = Math.min(this.index + AHEAD, this.at.length - 1);
    for (let n = this.index; n <= last && this.loading < AT_ONCE; n += 1) if (!this.urls.has(n)) void this.load(n);
    for (const [n, url] of this.urls) {
      if (url && (n < this.index - BEHIND || n > this.index + AHEAD + BEHIND)) {
        URL.revokeObjectURL(url);
        this.urls.delete(n);
      }
    }
  }

  /** @param {number} number */
  async load(number) {
    this.urls.set(number, "");
    this.loading += 1;
    const reply = await fetch(`${this.path}/frames/${number}`).catch(() => null);
    const picture = reply?.ok ? await reply.blob().catch(() => null) : null;
    if (picture) this.urls.set(number, URL.createObjectURL(picture));
    else this.urls.delete(number);
    if (reply?.status === 404 && !this.isGone) {
      this.tell(this.words.gone);
      this.stop();
    }
    if (!picture) await new Promise((done) => window.setTimeout(done, RETRY_MS));
    this.loading -= 1;
    if (number === this.index) this.show();
    else this.fill();
  }

  /** @param {string} text */
  tell(text) {
    this.part("note").textContent = text;
    this.part("note").hidden = false;
  }
}

// @ts-check
// Counts people at a line by hand, on the live pictures of a camera: I for in, O for out, U to undo.
// A tap bears the time at which the picture that was shown was taken, so that delays do not matter.
import { ask, element } from "./api.js";

const POLL_MS = 200;
const BLIND_POLL_MS = 3000;
const SETTLE_MS = 5000;

class Counter {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {Record<string, string>} */
    this.words = JSON.parse(root.dataset.words ?? "{}");
    this.camera = root.dataset.camera ?? "";
    this.line = root.dataset.line ?? "";
    this.minutes = Number(root.dataset.minutes ?? "10");
    /** @type {{at: string, direction: string}[]} */
    this.taps = [];
    this.shownAt = "";
    this.tag = "";
    this.start = "";
    this.isOver = false;
    this.url = "";
  }

  /** @param {string} name @returns {HTMLElement} */
  part(name) {
    const found = this.root.querySelector(`[data-part="${name}"]`);
    if (!found) throw new Error(`no part ${name}`);
    return /** @type {HTMLElement} */ (found);
  }

  run() {
    this.part("begin").addEventListener("click", () => this.begin());
    this.part("end").addEventListener("click", () => this.end());
    this.part("in").addEventListener("click", () => this.tap("in"));
    this.part("out").addEventListener("click", () => this.tap("out"));
    this.part("undo").addEventListener("click", () => this.undo());
    document.addEventListener("keydown", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea")) return;
      const key = event.key.toLowerCase();
      if (key === "i") this.tap("in");
      else if (key === "o") this.tap("out");
      else if (key === "u") this.undo();
    });
    void this.poll();
  }

  begin() {
    this.start = this.shownAt || new Date().toISOString();
    this.taps = [];
    this.isOver = false;
    this.part("begin").hidden = true;
    for (const name of ["in", "out", "undo", "end"]) this.part(name).removeAttribute("disabled");
    this.part("result").replaceChildren();
    this.part("in").focus();
    this.show();
  }

  /** @param {"in" | "out"} direction */
  tap(direction) {
    if (!this.start || this.isOver) return;
    this.taps.push({ at: this.shownAt || new Date().toISOString(), direction });
    this.show();
  }

  undo() {
    this.taps.pop();
    this.show();
  }

  show() {
    const count = (/** @type {string} */ way) => this.taps.filter((tap) => tap.direction === way).length;
    this.part("count").textContent = `${this.words.in}: ${count("in")}   ${this.words.out}: ${count("out")}`;
    if (!this.start || this.isOver) return;
    const seconds = Math.max(0, (Date.parse(this.shownAt || new Date().toISOString()) - Date.parse(this.start)) / 1000);
    this.part("time").textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
    if (seconds >= this.minutes * 60) void this.end();
  }

  async end() {
    if (!this.start || this.isOver) return;
    this.isOver = true;
    const last = this.shownAt || new Date().toISOString();
    const end = new Date(Math.max(Date.parse(last), Date.parse(this.start)) + 1).toISOString();
    for (const name of ["in", "out", "undo", "end"]) this.part(name).setAttribute("disabled", "");
    this.part("result").replaceChildren(this.words.wait);
    // The platform is sure of a crossing only a moment after it.
    await new Promise((done) => window.setTimeout(done, SETTLE_MS));
    const body = { camera: this.camera, line: this.line, start: this.start, end, taps: this.taps };
    const reply = await ask("POST", "/v1/audits", body);
    this.part("begin").hidden = false;
    this.start = "";
    if (!reply.ok) {
      this.part("result").replaceChildren(element("p", { class: "notice bad" }, reply.body.detail || this.words.offline));
      return;
    }
    this.part("result").replaceChildren(...reply.body.directions.map((/** @type {any} */ way) => this.told(way)));
  }

  /** @param {any} way */
  told(way) {
    const share = (/** @type {number} */ value) => value.toLocaleString(document.documentElement.lang, { style: "percent" });
    const factor = way.factor === null ? this.words.unknown : `${share(way.factor)} (${share(way.low)} – ${share(way.high)})`;
    return element("p", {}, `${this.words[way.direction]}: ${way.by_hand} ${this.words.by_hand}, ${way.by_platform} ${this.words.by_platform}, ${way.matched} ${this.words.matched}. ${this.words.factor} ${factor}`);
  }

  async poll() {
    const image = /** @type {HTMLImageElement} */ (this.part("picture"));
    for (;;) {
      const isThere = await this.fetchPicture(image);
      this.show();
      await new Promise((done) => window.setTimeout(done, isThere ? POLL_MS : BLIND_POLL_MS));
    }
  }

  /** @param {HTMLImageElement} image @returns {Promise<boolean>} whether there is a picture */
  async fetchPicture(image) {
    const path = `/v1/cameras/${encodeURIComponent(this.camera)}/snapshot`;
    const headers = this.tag ? { "If-None-Match": this.tag } : undefined;
    const reply = await fetch(path, { headers }).catch(() => null);
    const isThere = reply !== null && (reply.ok || reply.status === 304);
    this.part("blind").hidden = isThere;
    if (!isThere) this.shownAt = "";
    if (!reply?.ok) return isThere;
    this.tag = reply.headers.get("ETag") ?? "";
    this.shownAt = reply.headers.get("X-Captured-At") ?? new Date().toISOString();
    const before = this.url;
    this.url = URL.createObjectURL(await reply.blob());
    image.src = this.url;
    image.hidden = false;
    if (before) URL.revokeObjectURL(before);
    return true;
  }
}

const root = document.getElementById("audit-counter");
if (root) new Counter(root).run();

// @ts-check
// Counts people at a line by hand: I for in, O for out, U to undo.
// A tap bears the time at which the picture that was shown was taken, so that delays do not matter.
import { ask, element } from "./api.js";
import { LivePictures, RecordedPictures } from "./audit_pictures.js";

const SETTLE_MS = 5000;
const CONTROLS = ["in", "out", "undo", "end"];

class Counter {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {import("./audit_pictures.js").Words} */
    this.words = JSON.parse(root.dataset.words ?? "{}");
    this.camera = root.dataset.camera ?? "";
    this.line = root.dataset.line ?? "";
    this.minutes = Number(root.dataset.minutes ?? "10");
    /** @type {{at: string, direction: string}[]} */
    this.taps = [];
    this.start = "";
    this.isOver = false;
    const part = (/** @type {string} */ name) => this.part(name);
    const recording = root.dataset.recording;
    /** @type {import("./audit_pictures.js").Pictures} */
    this.pictures = recording ? new RecordedPictures(recording, part, this.words) : new LivePictures(this.camera, part);
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
    this.pictures.onShown = () => this.show();
    this.pictures.onStepBack = (at) => this.takeBack(at);
    this.pictures.run();
  }

  /** @returns {string} the time of the shown picture; where there is none now, that of this device */
  now() {
    return this.pictures.shownAt || (this.pictures.isLive ? new Date().toISOString() : "");
  }

  begin() {
    this.start = this.pictures.begin();
    this.taps = [];
    this.isOver = false;
    this.part("begin").hidden = true;
    for (const name of CONTROLS) this.part(name).removeAttribute("disabled");
    this.part("result").replaceChildren();
    this.part("in").focus();
    this.show();
  }

  /** @param {"in" | "out"} direction */
  tap(direction) {
    const at = this.now();
    if (!this.start || this.isOver || !at) return;
    this.taps.push({ at, direction });
    this.show();
  }

  undo() {
    this.taps.pop();
    this.show();
  }

  /**
   * After a step back these seconds are counted again: what was tapped in them no longer counts.
   * @param {string} at
   */
  takeBack(at) {
    this.taps = this.taps.filter((tap) => Date.parse(tap.at) < Date.parse(at));
    this.show();
  }

  show() {
    const count = (/** @type {string} */ way) => this.taps.filter((tap) => tap.direction === way).length;
    this.part("count").textContent = `${this.words.in}: ${count("in")}   ${this.words.out}: ${count("out")}`;
    if (!this.start || this.isOver) return;
    const seconds = Math.max(0, (Date.parse(this.now() || this.start) - Date.parse(this.start)) / 1000);
    this.part("time").textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
    if (this.pictures.isLive && seconds >= this.minutes * 60) void this.end();
  }

  async end() {
    if (!this.start || this.isOver) return;
    this.isOver = true;
    const last = this.now() || this.start;
    const end = new Date(Math.max(Date.parse(last), Date.parse(this.start)) + 1).toISOString();
    for (const name of CONTROLS) this.part(name).setAttribute("disabled", "");
    this.part("result").replaceChildren(this.words.wait);
    this.pictures.pause();
    // The platform is sure of a crossing only a moment after it.
    if (this.pictures.isLive) await new Promise((done) => window.setTimeout(done, SETTLE_MS));
    const recording = this.pictures.recording;
    const body = { camera: this.camera, line: this.line, start: this.start, end, taps: this.taps, recording };
    const reply = await ask("POST", "/v1/audits", body);
    if (!reply.ok) {
      this.part("result").replaceChildren(element("p", { class: "notice bad" }, reply.body.detail || this.words.offline));
      this.again();
      return;
    }
    this.part("result").replaceChildren(...reply.body.directions.map((/** @type {any} */ way) => this.told(way)));
    if (this.pictures.isLive) this.again();
    else this.pictures.stop();
  }

  /** Let a new count begin; a failed one of a recording can be sent again. */
  again() {
    if (this.pictures.isLive) {
      this.part("begin").hidden = false;
      this.start = "";
    } else {
      this.isOver = false;
      for (const name of CONTROLS) this.part(name).removeAttribute("disabled");
    }
  }

  /** @param {any} way */
  told(way) {
    const share = (/** @type {number} */ value) => value.toLocaleString(document.documentElement.lang, { style: "percent" });
    const factor = way.factor === null ? this.words.unknown : `${share(way.factor)} (${share(way.low)} – ${share(way.high)})`;
    return element("p", {}, `${this.words[/** @type {"in" | "out"} */ (way.direction)]}: ${way.by_hand} ${this.words.by_hand}, ${way.by_platform} ${this.words.by_platform}, ${way.matched} ${this.words.matched}. ${this.words.factor} ${factor}`);
  }
}

const root = document.getElementById("audit-counter");
if (root) new Counter(root).run();

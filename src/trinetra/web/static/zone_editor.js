// @ts-check
// Draws lines, zones and floor points of a camera over its picture, by mouse or keyboard.
// Points are focusable: arrows move one (with Shift further), Enter adds one after it, Delete
// removes it. Every change is checked by the API at once; nothing is written before "Write".
import { ask, element, showDiff, showFindings } from "./api.js";

/** @typedef {[number, number]} Point */
/** @typedef {{id: string, kind: string, a: Point, b: Point}} Line */
/** @typedef {{id: string, kind: string, polygon: Point[], tills: string[], min_dwell_s: number}} Zone */
/** @typedef {[Point, Point]} Pair */
/** @typedef {{lines: Line[], zones: Zone[], floor: Pair[]}} Drawing */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const STEP = 0.005;
const FAR_STEP = 0.02;
const LINE_KINDS = ["entrance", "passby", "inner"];
const ZONE_KINDS = ["area", "queue", "till", "table", "shelf", "counter"];

class Editor {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.camera = root.dataset.camera ?? "";
    /** @type {Record<string, string>} */
    this.words = JSON.parse(root.dataset.words ?? "{}");
    /** @type {Record<string, string>} how changes take effect, by the words of the API */
    this.effects = JSON.parse(root.dataset.effects ?? "{}");
    this.height = 562;
    /** @type {Drawing} */ this.base = { lines: [], zones: [], floor: [] };
    /** @type {Drawing} */ this.now = { lines: [], zones: [], floor: [] };
    this.etag = "";
    /** @type {Point[][]} */ this.grid = [];
    /** @type {"lines" | "zones" | "floor"} */ this.mode = "lines";
    this.timer = 0;
    this.asked = 0;
    this.svg = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (this.part("svg")));
    this.picture = /** @type {HTMLImageElement} */ (this.part("picture"));
  }

  /** @param {string} name @returns {HTMLElement} */
  part(name) {
    const found = this.root.querySelector(`[data-part="${name}"]`);
    if (!found) throw new Error(`no part ${name}`);
    return /** @type {HTMLElement} */ (found);
  }

  async start() {
    this.picture.addEventListener("load", () => this.resize());
    this.picture.addEventListener("error", () => this.tell("warn", this.words.no_picture));
    if (this.picture.complete && this.picture.naturalWidth) this.resize();
    for (const tab of this.root.querySelectorAll("[data-mode]")) {
      tab.addEventListener("click", () => this.switchTo(/** @type {HTMLElement} */ (tab).dataset.mode));
    }
    this.part("add").addEventListener("click", () => this.add());
    this.part("review").addEventListener("click", () => this.review());
    this.part("write").addEventListener("click", () => this.write());
    this.part("undo").addEventListener("click", () => this.reset());
    this.part("evidence").addEventListener("click", () => this.evidence());
    this.svg.addEventListener("click", (event) => this.clicked(event));
    await this.load(false);
    this.switchTo("lines");
  }

  /** @param {boolean} keeps whether what is drawn stays, on top of the file as it is now */
  async load(keeps) {
    const reply = await ask("GET", "/v1/setup");
    if (!reply.ok) return this.tell("bad", reply.body.detail || this.words.offline);
    const found = reply.body.cameras.find((/** @type {any} */ one) => one.id === this.camera);
    if (!found) return this.tell("bad", this.words.gone);
    this.etag = reply.body.etag;
    this.base = { lines: found.lines, zones: found.zones, floor: found.floor };
    if (!keeps) this.now = structuredClone(this.base);
    this.render();
    if (this.now.floor.length >= 4) await this.fitFloor();
  }

  reset() {
    this.now = structuredClone(this.base);
    this.changed();
  }

  resize() {
    this.height = Math.round((WIDTH * this.picture.naturalHeight) / this.picture.naturalWidth) || 562;
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${this.height}`);
    this.render();
  }

  /** @param {string | undefined} mode */
  switchTo(mode) {
    if (mode !== "lines" && mode !== "zones" && mode !== "floor") return;
    this.mode = mode;
    for (const tab of this.root.querySelectorAll("[data-mode]")) {
      tab.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (tab).dataset.mode === mode));
    }
    this.part("add").textContent = this.words[`add_${mode}`];
    this.part("help").textContent = this.words[`help_${mode}`];
    this.render();
  }

  add() {
    if (this.mode === "lines") {
      this.now.lines.push({ id: this.free("line", this.now.lines), kind: "entrance", a: [0.2, 0.6], b: [0.8, 0.6] });
    } else if (this.mode === "zones") {
      const polygon = /** @type {Point[]} */ ([[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]]);
      this.now.zones.push({ id: this.free("zone", this.now.zones), kind: "area", polygon, tills: [], min_dwell_s: 2 });
    } else {
      this.now.floor.push([[0.5, 0.5], [0, 0]]);
    }
    this.changed();
    const points = this.svg.querySelectorAll("circle");
    /** @type {SVGElement | undefined} */ (points[points.length - 1])?.focus();
  }

  /** @param {string} word @param {{id: string}[]} list */
  free(word, list) {
    for (let number = 1; ; number += 1) {
      if (!list.some((one) => one.id === `${word}-${number}`)) return `${word}-${number}`;
    }
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    if (this.mode !== "floor" || event.target !== this.svg) return;
    this.now.floor.push([this.at(event), [0, 0]]);
    this.changed();
  }

  /** @param {{clientX: number, clientY: number}} event @returns {Point} */
  at(event) {
    const box = this.svg.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
  }

  changed() {
    this.render();
    this.part("write").setAttribute("disabled", "");
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.check(), 300);
    if (this.mode === "floor") void this.fitFloor();
  }

  // --- drawing

  render() {
    const focused = document.activeElement?.getAttribute("data-point");
    this.svg.replaceChildren();
    if (this.mode === "floor") this.grid.forEach((line) => this.draw("polyline", line, "floor-grid"));
    this.now.zones.forEach((zone, row) => this.drawZone(zone, row));
    this.now.lines.forEach((line, row) => this.drawLine(line, row));
    if (this.mode === "floor") {
      this.now.floor.forEach((pair, row) =>
        this.point(`floor ${row}`, `${this.words.floor_point} ${row + 1}`, pair[0], {
          move: (to) => { pair[0] = to; },
          add: () => this.now.floor.splice(row + 1, 0, [shifted(pair[0]), [0, 0]]),
          remove: () => this.now.floor.splice(row, 1),
        }),
      );
    }
    this.renderList();
    if (focused) /** @type {SVGElement | null} */ (this.svg.querySelector(`[data-point="${focused}"]`))?.focus();
  }

  /** @param {Line} line @param {number} row */
  drawLine(line, row) {
    this.draw("polyline", [line.a, line.b], "count-line");
    const [ax, ay, bx, by] = [line.a[0] * WIDTH, line.a[1] * this.height, line.b[0] * WIDTH, line.b[1] * this.height];
    const length = Math.hypot(bx - ax, by - ay) || 1;
    const [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
    // Rows of a picture go down: the right side of a-b, where people come in, is (-dy, dx).
    const [nx, ny] = [-(by - ay) / length, (bx - ax) / length];
    const tip = [mx + 70 * nx, my + 70 * ny];
    const arrow = this.shape("path", "count-arrow");
    const left = [tip[0] - 18 * nx - 10 * ny, tip[1] - 18 * ny + 10 * nx];
    const right = [tip[0] - 18 * nx + 10 * ny, tip[1] - 18 * ny - 10 * nx];
    arrow.setAttribute("d", `M${mx} ${my}L${tip[0]} ${tip[1]}M${left[0]} ${left[1]}L${tip[0]} ${tip[1]}L${right[0]} ${right[1]}`);
    this.label(`${line.id}: ${this.words.in}`, [tip[0] + 24 * nx, tip[1] + 24 * ny]);
    if (this.mode !== "lines") return;
    const remove = () => this.now.lines.splice(row, 1);
    const add = () => this.add();
    this.point(`line ${row} a`, `${line.id}, a`, line.a, { move: (to) => { line.a = to; }, add, remove });
    this.point(`line ${row} b`, `${line.id}, b`, line.b, { move: (to) => { line.b = to; }, add, remove });
  }

  /** @param {Zone} zone @param {number} row */
  drawZone(zone, row) {
    this.draw("polygon", zone.polygon, "zone-area");
    const [x, y] = middle(zone.polygon);
    this.label(zone.id, [x * WIDTH, y * this.height]);
    if (this.mode !== "zones") return;
    zone.polygon.forEach((corner, place) =>
      this.point(`zone ${row} ${place}`, `${zone.id}, ${place + 1}`, corner, {
        move: (to) => { zone.polygon[place] = to; },
        add: () => zone.polygon.splice(place + 1, 0, between(corner, zone.polygon[(place + 1) % zone.polygon.length])),
        remove: () => (zone.polygon.length > 3 ? zone.polygon.splice(place, 1) : this.now.zones.splice(row, 1)),
      }),
    );
  }

  /** @param {string} name @param {string} kind */
  shape(name, kind) {
    const made = document.createElementNS(SVG, name);
    made.setAttribute("class", kind);
    this.svg.append(made);
    return made;
  }

  /** @param {string} name @param {Point[]} points @param {string} kind */
  draw(name, points, kind) {
    const text = points.map(([x, y]) => `${x * WIDTH},${y * this.height}`).join(" ");
    this.shape(name, kind).setAttribute("points", text);
  }

  /** @param {string} text @param {number[]} at */
  label(text, at) {
    const made = this.shape("text", "shape-label");
    made.setAttribute("x", String(Math.min(WIDTH - 90, Math.max(10, at[0]))));
    made.setAttribute("y", String(Math.min(this.height - 10, Math.max(24, at[1]))));
    made.textContent = text;
  }

  /**
   * @param {string} key
   * @param {string} name
   * @param {Point} place
   * @param {{move: (to: Point) => void, add: () => unknown, remove: () => unknown}} does
   */
  point(key, name, place, does) {
    const made = this.shape("circle", "shape-point");
    made.setAttribute("cx", String(place[0] * WIDTH));
    made.setAttribute("cy", String(place[1] * this.height));
    made.setAttribute("r", "12");
    made.setAttribute("tabindex", "0");
    made.setAttribute("role", "button");
    made.setAttribute("data-point", key);
    made.setAttribute("aria-label", `${name}: ${Math.round(place[0] * 100)} %, ${Math.round(place[1] * 100)} %`);
    made.addEventListener("keydown", (event) => this.pressed(/** @type {KeyboardEvent} */ (event), place, does));
    made.addEventListener("pointerdown", (event) => this.dragged(/** @type {PointerEvent} */ (event), key, does));
  }

  /** @param {KeyboardEvent} event @param {Point} place @param {any} does */
  pressed(event, place, does) {
    const step = event.shiftKey ? FAR_STEP : STEP;
    /** @type {Record<string, number[]>} */
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const way = ways[event.key];
    if (way) does.move([clamp(place[0] + way[0]), clamp(place[1] + way[1])]);
    else if (event.key === "Enter") does.add();
    else if (event.key === "Delete" || event.key === "Backspace") does.remove();
    else return;
    event.preventDefault();
    this.changed();
  }

  /** @param {PointerEvent} event @param {string} key @param {any} does */
  dragged(event, key, does) {
    event.preventDefault();
    /** @type {SVGElement} */ (event.target).focus();
    /** @param {PointerEvent} moved */
    const move = (moved) => {
      does.move(this.at(moved));
      this.changed();
      /** @type {SVGElement | null} */ (this.svg.querySelector(`[data-point="${key}"]`))?.focus();
    };
    const end = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
  }

  // --- the list beside the picture

  renderList() {
    const list = this.part("list");
    if (list.contains(document.activeElement) && list.dataset.shown === this.mode) {
      if (list.childElementCount === this.now[this.mode].length) return; // a field is being edited
    }
    list.dataset.shown = this.mode;
    const rows = {
      lines: () => this.now.lines.map((line, row) => this.lineRow(line, row)),
      zones: () => this.now.zones.map((zone, row) => this.zoneRow(zone, row)),
      floor: () => this.now.floor.map((pair, row) => this.floorRow(pair, row)),
    }[this.mode]();
    list.replaceChildren(...rows);
    this.part("empty").hidden = rows.length > 0;
    this.part("empty").textContent = this.words[`empty_${this.mode}`];
  }

  /** @param {Line} line @param {number} row */
  lineRow(line, row) {
    const swap = () => { [line.a, line.b] = [line.b, line.a]; };
    return element("li", { class: "row" }, this.text(this.words.name, line.id, (to) => { line.id = to; }),
      this.choice(this.words.kind, LINE_KINDS, line.kind, (to) => { line.kind = to; }),
      this.button(this.words.swap, swap), this.button(this.words.remove, () => this.now.lines.splice(row, 1)));
  }

  /** @param {Zone} zone @param {number} row */
  zoneRow(zone, row) {
    const tills = (/** @type {string} */ to) => { zone.tills = to.split(/[\s,]+/).filter(Boolean); };
    return element("li", { class: "row" }, this.text(this.words.name, zone.id, (to) => { zone.id = to; }),
      this.choice(this.words.kind, ZONE_KINDS, zone.kind, (to) => { zone.kind = to; }),
      this.text(this.words.tills, zone.tills.join(", "), tills),
      this.button(this.words.remove, () => this.now.zones.splice(row, 1)));
  }

  /** @param {Pair} pair @param {number} row */
  floorRow(pair, row) {
    const set = (/** @type {number} */ axis) => (/** @type {string} */ to) => {
      const number = Number(to);
      if (Number.isFinite(number)) pair[1][axis] = number;
    };
    return element("li", { class: "row" }, element("span", {}, `${row + 1}`),
      this.text("x (m)", String(pair[1][0]), set(0)), this.text("y (m)", String(pair[1][1]), set(1)),
      this.button(this.words.remove, () => this.now.floor.splice(row, 1)));
  }

  /** @param {string} name @param {string} value @param {(to: string) => void} set */
  text(name, value, set) {
    const field = /** @type {HTMLInputElement} */ (element("input", { value, size: "10", maxlength: "80" }));
    field.addEventListener("change", () => { set(field.value.trim()); this.changed(); });
    return element("label", {}, name, field);
  }

  /** @param {string} name @param {string[]} kinds @param {string} value @param {(to: string) => void} set */
  choice(name, kinds, value, set) {
    const field = /** @type {HTMLSelectElement} */ (element("select"));
    for (const kind of kinds) field.append(element("option", kind === value ? { value: kind, selected: "" } : { value: kind }, this.words[`kind_${kind}`] ?? kind));
    field.addEventListener("change", () => { set(field.value); this.changed(); });
    return element("label", {}, name, field);
  }

  /** @param {string} name @param {() => unknown} does */
  button(name, does) {
    const made = element("button", { type: "button", class: "small" }, name);
    made.addEventListener("click", () => { does(); this.part("list").replaceChildren(); this.changed(); });
    return made;
  }

  // --- the API

  /** @returns {{op: string, path: (string | number)[], value?: unknown}[]} */
  edits() {
    const path = ["cameras", this.camera];
    return [
      ...listEdits([...path, "lines"], this.base.lines, this.now.lines, lineFields),
      ...listEdits([...path, "zones"], this.base.zones, this.now.zones, zoneFields),
      ...floorEdits([...path, "floor"], this.base.floor, this.now.floor),
    ];
  }

  async check() {
    const number = (this.asked += 1);
    const reply = await ask("POST", "/v1/setup/check", { edits: this.edits() });
    if (number !== this.asked) return null; // a later check is on its way
    if (!reply.ok) {
      this.tell("bad", reply.body.detail || this.words.offline);
      return null;
    }
    const own = reply.body.findings.filter((/** @type {any} */ one) => one.kind === "error" || one.message.includes(this.camera));
    showFindings(this.part("findings"), own);
    this.part("no-findings").hidden = own.length > 0;
    this.tell("", "");
    return reply.body;
  }

  async review() {
    window.clearTimeout(this.timer);
    const found = await this.check();
    if (!found) return;
    const [place, write] = [this.part("diff"), this.part("write")];
    if (!found.diff) {
      place.replaceChildren(this.words.same);
      return;
    }
    showDiff(place, found.diff);
    place.append(...found.takeovers.map((/** @type {any} */ one) => element("p", { class: "quiet" }, `${one.what}: ${this.words[one.how]}; ${this.effects[one.effect] ?? one.effect}`)));
    if (found.is_valid) write.removeAttribute("disabled");
    else this.tell("bad", this.words.invalid);
  }

  async write() {
    const reply = await ask("PUT", "/v1/setup", { edits: this.edits() }, { "If-Match": `"${this.etag}"` });
    this.part("write").setAttribute("disabled", "");
    if (reply.ok) {
      this.part("diff").replaceChildren();
      await this.load(false);
      return this.tell("good", this.words.written);
    }
    this.tell("bad", reply.body.detail || this.words.offline);
    if (reply.status !== 412) return;
    showDiff(this.part("diff"), reply.body.diff ?? "");
    await this.load(true); // the drawing stays; the next review compares it with the new file
  }

  async fitFloor() {
    this.grid = [];
    const report = this.part("floor-report");
    report.textContent = this.now.floor.length < 4 ? this.words.four : "";
    if (this.now.floor.length < 4) return this.render();
    const reply = await ask("POST", "/v1/setup/floor", { pairs: this.now.floor });
    if (reply.ok) {
      this.grid = reply.body.grid;
      const { rms_m, worst, worst_m, step_m } = reply.body;
      report.textContent = `${this.words.agree} ${this.meters(rms_m.toFixed(2))} (${worst + 1}: ${this.meters(worst_m.toFixed(2))}); ${this.words.grid} ${this.meters(step_m)}`;
    } else report.textContent = reply.body.detail;
    this.render();
  }

  async evidence() {
    const place = this.part("evidence-found");
    place.replaceChildren(this.words.reading);
    const reply = await ask("POST", "/v1/setup/evidence?hours=2", { edits: this.edits() });
    if (!reply.ok) return place.replaceChildren(reply.body.detail || this.words.offline);
    const own = reply.body.items.filter((/** @type {any} */ one) => one.camera === this.camera);
    place.replaceChildren(
      ...own.map((/** @type {any} */ one) => element("p", {}, `${one.line}: ${one.near} ${this.words.near}, ${one.through} ${this.words.through}, ${one.beside} ${this.words.beside}. ${one.findings.join(". ")}`)),
      ...(own.length ? [] : [this.words.no_tracks]),
    );
  }

  /** @param {number | string} value */
  meters(value) {
    return (this.words.meters ?? "# m").replace("#", String(value));
  }

  /** @param {string} kind @param {string} text */
  tell(kind, text) {
    const place = this.part("told");
    place.hidden = !text;
    place.className = `notice ${kind}`;
    place.textContent = text;
  }
}

/** @param {Line} line @returns {Record<string, unknown>} */
const lineFields = (line) => ({ a: rounded(line.a), b: rounded(line.b), kind: line.kind });
/** @param {Zone} zone @returns {Record<string, unknown>} */
const zoneFields = (zone) => ({ polygon: zone.polygon.map(rounded), kind: zone.kind, tills: zone.tills });

/**
 * Return the edits that lead from one list to another: of entries that stay only what differs.
 * @template {{id: string}} T
 * @param {(string | number)[]} path
 * @param {T[]} before
 * @param {T[]} after
 * @param {(one: T) => Record<string, unknown>} fields
 */
function listEdits(path, before, after, fields) {
  const kept = after.filter((one) => before.some((other) => other.id === one.id));
  const fresh = after.filter((one) => !kept.includes(one)).map((one) => ({ id: one.id, ...written(fields(one)) }));
  const edits = kept.flatMap((one) => {
    const known = fields(/** @type {T} */ (before.find((other) => other.id === one.id)));
    return Object.entries(fields(one))
      .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(known[name]))
      .map(([name, value]) => ({ op: "put", path: [...path, one.id, name], value }));
  });
  if (!before.length && fresh.length) return [{ op: "put", path, value: fresh }];
  const added = fresh.map((one) => ({ op: "put", path: [...path, one.id], value: one }));
  const gone = before.filter((one) => !after.some((other) => other.id === one.id));
  return [...edits, ...added, ...gone.map((one) => ({ op: "remove", path: [...path, one.id] }))];
}

/** Leave out what is the default anyway. @param {Record<string, unknown>} fields */
function written(fields) {
  const tills = /** @type {string[] | undefined} */ (fields.tills);
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name !== "tills" || tills?.length));
}

/** @param {(string | number)[]} path @param {Pair[]} before @param {Pair[]} after */
function floorEdits(path, before, after) {
  const value = after.map(([place, floor]) => [rounded(place), floor]);
  if (JSON.stringify(before) === JSON.stringify(value)) return [];
  if (!after.length) return [{ op: "remove", path }];
  return [{ op: "put", path, value }];
}

/** @param {Point} place @returns {Point} */
const rounded = (place) => [Math.round(place[0] * 1e4) / 1e4, Math.round(place[1] * 1e4) / 1e4];
/** @param {number} value */
const clamp = (value) => Math.min(1, Math.max(0, value));
/** @param {Point} one @param {Point} two @returns {Point} */
const between = (one, two) => [(one[0] + two[0]) / 2, (one[1] + two[1]) / 2];
/** @param {Point} place @returns {Point} */
const shifted = (place) => [clamp(place[0] + 0.05), clamp(place[1] + 0.05)];
/** @param {Point[]} polygon @returns {Point} */
const middle = (polygon) => [
  polygon.reduce((sum, [x]) => sum + x, 0) / polygon.length,
  polygon.reduce((sum, [, y]) => sum + y, 0) / polygon.length,
];

const root = document.getElementById("zone-editor");
if (root) void new Editor(root).start();

// @ts-check
// Draws the floor plan: zones, heatmap, ways between zones, cameras, and the people now.
import { follow } from "./stream.js";

/**
 * @typedef {{ x_m: number, y_m: number, camera: string, kind: string | null }} Person
 * @typedef {{ id: string, x_m: number | null, y_m: number | null, people: number | null, is_calibrated: boolean }} Camera
 * @typedef {{ camera: string, zone: string, kind: string, polygon_m: [number, number][] }} Area
 * @typedef {{ people: Person[], cameras: Camera[] }} Now
 * @typedef {{ grid: "floor" | "picture", cell_m: number | null, cells: { x: number, y: number, hours: number }[] }} Heat
 * @typedef {{ start: string, end: string, times: number }} Flow
 * @typedef {{ plan: { now: Now, areas: Area[] } | null, heat: Heat | null, flows: Flow[] }} Drawing
 * @typedef {{ left: number, top: number, scale: number, x: number, y: number }} View
 */

const COLUMNS = 32;
const ROWS = 18;
const PAD = 24;
const canvas = document.getElementById("plan");
if (!(canvas instanceof HTMLCanvasElement)) throw new Error("the page has no plan");
const context = canvas.getContext("2d");
if (!context) throw new Error("the browser cannot draw");
const paper = canvas, pen = context;
/** @type {Drawing} */
const drawing = JSON.parse(paper.dataset.drawing ?? "{}");
let now = drawing.plan?.now ?? { people: [], cameras: [] };
/** @type {HTMLImageElement | null} */
let picture = null;

/** @param {string} name */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {string} id */
function isOn(id) {
  const box = document.getElementById(id);
  return !(box instanceof HTMLInputElement) || box.checked;
}

/** @returns {[number, number][]} everything that must lie on the plan, in meters */
function points() {
  const cell = drawing.heat?.cell_m ?? 1;
  return [
    ...(drawing.plan?.areas ?? []).flatMap((area) => area.polygon_m),
    ...now.cameras.flatMap((c) => /** @type {[number, number][]} */ (c.x_m === null || c.y_m === null ? [] : [[c.x_m, c.y_m]])),
    ...now.people.map((p) => /** @type {[number, number]} */ ([p.x_m, p.y_m])),
    ...(drawing.heat?.grid === "floor" ? drawing.heat.cells : []).flatMap(
      (c) => /** @type {[number, number][]} */ ([[c.x * cell, c.y * cell], [(c.x + 1) * cell, (c.y + 1) * cell]])),
  ];
}

/** @param {number} width @param {number} height @returns {View} */
function fitted(width, height) {
  const all = points();
  const xs = all.map(([x]) => x), ys = all.map(([, y]) => y);
  const left = Math.min(...xs, 0), top = Math.min(...ys, 0);
  const wide = Math.max(Math.max(...xs, 1) - left, 1), high = Math.max(Math.max(...ys, 1) - top, 1);
  const scale = Math.min((width - 2 * PAD) / wide, (height - 2 * PAD) / high);
  return { left, top, scale, x: (width - wide * scale) / 2, y: (height - high * scale) / 2 };
}

/** @param {View} view @param {number} x @param {number} y @returns {[number, number]} */
const at = (view, x, y) => [view.x + (x - view.left) * view.scale, view.y + (y - view.top) * view.scale];

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = paper.clientWidth, height = paper.clientHeight;
  paper.width = Math.round(width * ratio);
  paper.height = Math.round(height * ratio);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  if (drawing.heat?.grid === "picture") drawPicture(drawing.heat, width, height);
  else drawFloor(fitted(width, height));
}

/** @param {Heat} heat @param {number} width @param {number} height */
function drawPicture(heat, width, height) {
  const wide = Math.min(width, height * 16 / 9), high = wide * 9 / 16;
  if (picture) pen.drawImage(picture, 0, 0, wide, high);
  if (!isOn("show-heat")) return;
  drawCells(heat, (x, y) => [x * wide / COLUMNS, y * high / ROWS, wide / COLUMNS, high / ROWS]);
}

/** @param {Heat} heat @param {(x: number, y: number) => [number, number, number, number]} place */
function drawCells(heat, place) {
  const most = Math.max(...heat.cells.map((cell) => cell.hours), 0);
  pen.fillStyle = color("--bad");
  for (const cell of heat.cells) {
    pen.globalAlpha = 0.08 + 0.62 * Math.sqrt(cell.hours / most);
    pen.fillRect(...place(cell.x, cell.y));
  }
  pen.globalAlpha = 1;
}

/** @param {View} view */
function drawFloor(view) {
  const heat = drawing.heat;
  if (heat && isOn("show-heat")) {
    const side = (heat.cell_m ?? 1) * view.scale;
    drawCells(heat, (x, y) => [...at(view, x * (heat.cell_m ?? 1), y * (heat.cell_m ?? 1)), side, side]);
  }
  for (const area of drawing.plan?.areas ?? []) drawArea(view, area);
  if (isOn("show-flows")) drawFlows(view);
  for (const camera of now.cameras) drawCamera(view, camera);
  if (isOn("show-people")) for (const person of now.people) drawPerson(view, person);
}

/** @param {View} view @param {Area} area */
function drawArea(view, area) {
  pen.beginPath();
  for (const [x, y] of area.polygon_m) pen.lineTo(...at(view, x, y));
  pen.closePath();
  pen.lineWidth = 1.5;
  pen.strokeStyle = color("--line-strong");
  pen.stroke();
  const [x, y] = at(view, ...middle(area));
  pen.fillStyle = color("--quiet");
  pen.textAlign = "center";
  pen.fillText(area.zone, x, y);
}

/** @param {Area} area @returns {[number, number]} */
function middle(area) {
  const count = area.polygon_m.length;
  const sum = area.polygon_m.reduce(([a, b], [x, y]) => [a + x, b + y], [0, 0]);
  return [(sum[0] ?? 0) / count, (sum[1] ?? 0) / count];
}

/** @param {View} view */
function drawFlows(view) {
  const areas = new Map((drawing.plan?.areas ?? []).map((area) => [`${area.camera}/${area.zone}`, middle(area)]));
  const most = Math.max(...drawing.flows.map((flow) => flow.times), 1);
  for (const flow of drawing.flows) {
    const from = areas.get(flow.start), to = areas.get(flow.end);
    if (!from || !to || flow.start === flow.end) continue;
    drawArrow(at(view, ...from), at(view, ...to), 1 + 5 * flow.times / most);
  }
}

/** @param {[number, number]} from @param {[number, number]} to @param {number} width */
function drawArrow([x1, y1], [x2, y2], width) {
  const bend = 0.15, cx = (x1 + x2) / 2 + (y2 - y1) * bend, cy = (y1 + y2) / 2 - (x2 - x1) * bend;
  const turn = Math.atan2(y2 - cy, x2 - cx);
  pen.strokeStyle = pen.fillStyle = color("--accent");
  pen.globalAlpha = 0.6;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.quadraticCurveTo(cx, cy, x2, y2);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(x2, y2);
  for (const side of [-0.4, 0.4]) pen.lineTo(x2 - (6 + 2 * width) * Math.cos(turn + side), y2 - (6 + 2 * width) * Math.sin(turn + side));
  pen.fill();
  pen.globalAlpha = 1;
}

/** @param {View} view @param {Camera} camera */
function drawCamera(view, camera) {
  if (camera.x_m === null || camera.y_m === null) return;
  const [x, y] = at(view, camera.x_m, camera.y_m);
  pen.fillStyle = color("--line-strong");
  pen.fillRect(x - 4, y - 4, 8, 8);
  pen.fillStyle = color("--text");
  const isRight = x > paper.clientWidth * 0.8;
  pen.textAlign = isRight ? "right" : "left";
  const label = camera.is_calibrated || camera.people === null ? camera.id : `${camera.id}: ${camera.people}`;
  pen.fillText(label, x + (isRight ? -8 : 8), y + 4);
}

/** @param {View} view @param {Person} person */
function drawPerson(view, person) {
  const [x, y] = at(view, person.x_m, person.y_m);
  pen.beginPath();
  pen.arc(x, y, 6, 0, 2 * Math.PI);
  pen.fillStyle = color(person.kind === "watchlist" ? "--bad" : person.kind === "staff" ? "--quiet" : "--accent");
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = color("--surface");
  pen.stroke();
}

/** @param {Now} told */
function take(told) {
  now = told;
  for (const camera of told.cameras) {
    const cell = document.querySelector(`[data-people="${CSS.escape(camera.id)}"]`);
    if (cell) cell.textContent = camera.people === null ? "–" : String(camera.people);
  }
  draw();
}

for (const id of ["show-people", "show-heat", "show-flows"]) document.getElementById(id)?.addEventListener("change", draw);
window.addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
if (paper.dataset.picture) {
  const loaded = new Image();
  loaded.onload = () => {
    picture = loaded;
    draw();
  };
  loaded.src = paper.dataset.picture;
}
draw();
if (drawing.plan) follow("floor", take);

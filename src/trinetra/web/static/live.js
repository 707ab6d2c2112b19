// @ts-check
// The wall of cameras: asks every second for the pictures in view that have changed, all at once.
import { follow } from "./stream.js";

/**
 * @typedef {{ id: string, state: string, fps: number | null, delay_s: number | null, waiting: number | null,
 *   dropped: Record<string, number>, people: number | null, problem: string | null }} Camera
 */

const EVERY_MS = 1000;
const AFTER_FAILURE_MS = 5000;
/** States in which a camera has no pictures, so that none is asked for. */
const DARK = ["connecting", "backoff", "disabled"];
const wall = document.getElementById("wall");
const boxes = document.getElementById("boxes");
const faces = document.getElementById("faces");
/** @type {Record<string, string>} */
const states = JSON.parse(wall?.dataset.states ?? "{}");
/** @type {Record<string, string>} */
const tones = JSON.parse(wall?.dataset.tones ?? "{}");

const showsFaces = () => faces?.getAttribute("aria-pressed") === "true";
const showsBoxes = () => !(boxes instanceof HTMLInputElement) || boxes.checked;
const query = () => `?boxes=${showsBoxes()}&faces=${showsFaces() ? "clear" : "blurred"}`;

/** The pictures in view, by camera. @type {Map<string, HTMLImageElement>} */
const inView = new Map();
/** What is shown, by camera. @type {Map<string, string>} */
const tags = new Map();
let timer = 0;
let isAsking = false;

/** Ask for all pictures in view that have changed, in one request, and go on. */
async function next() {
  window.clearTimeout(timer);
  if (isAsking || document.hidden) return;
  isAsking = true;
  const isGood = await load().catch(() => false);
  isAsking = false;
  window.clearTimeout(timer);
  timer = window.setTimeout(next, isGood ? EVERY_MS : AFTER_FAILURE_MS);
}

/** @returns {Promise<boolean>} whether the server answered */
async function load() {
  const asked = [...inView].filter(([, image]) => isBright(image)).map(([camera]) => camera);
  if (!asked.length) return true;
  const way = query();
  const known = asked.flatMap((camera) => tags.get(camera) ?? []);
  const address = `/v1/snapshots${way}&${asked.map((camera) => `camera=${encodeURIComponent(camera)}`).join("&")}`;
  const reply = await fetch(address, { headers: known.length ? { "If-None-Match": known.map((tag) => `"${tag}"`).join(", ") } : {} });
  if (reply.status === 304) return true;
  if (!reply.ok) return false;
  for (const [camera, picture] of await reply.formData()) {
    const image = inView.get(camera);
    if (!image || !(picture instanceof File) || way !== query()) continue;
    tags.set(camera, picture.name);
    show(image, URL.createObjectURL(picture));
  }
  return true;
}

/** Whether a camera has pictures as far as is known. @param {HTMLImageElement} image */
function isBright(image) {
  const tile = image.closest("[data-now]");
  if (!(tile instanceof HTMLElement) || !DARK.includes(tile.dataset.now ?? "")) return true;
  tags.delete(tile.dataset.camera ?? "");
  show(image, "");
  return false;
}

/** Show a picture, or that there is none. @param {HTMLImageElement} image @param {string} address */
function show(image, address) {
  const before = image.src;
  if (address) image.src = address;
  else image.removeAttribute("src");
  image.parentElement?.classList.toggle("has-picture", address !== "");
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!(target instanceof HTMLImageElement)) continue;
    const camera = target.dataset.snapshot ?? "";
    if (isIntersecting) inView.set(camera, target);
    else inView.delete(camera);
  }
  next();
});
for (const image of document.querySelectorAll("img[data-snapshot]")) observer.observe(image);

/** Ask for all pictures anew, in another way. */
function restart() {
  tags.clear();
  next();
  for (const image of document.querySelectorAll("img[data-live]")) {
    if (image instanceof HTMLImageElement) show(image, document.hidden ? "" : image.dataset.live + query());
  }
}

/** @param {Element} tile @param {string} name @param {string} text */
function tell(tile, name, text) {
  const place = tile.querySelector(`[data-fact="${name}"]`);
  if (place && place.textContent !== text) place.textContent = text;
}

/** @param {number | null} value @param {number} [digits] */
const number = (value, digits = 0) => value === null ? "–" : value.toLocaleString(
  document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** How seconds are written; # stands for their number. */
const seconds = wall?.dataset.seconds ?? "# s";

/** @param {Camera} camera */
function tellState(camera) {
  const tile = document.querySelector(`[data-camera="${CSS.escape(camera.id)}"]`);
  const tag = tile?.querySelector("[data-state]");
  const problem = tile?.querySelector("[data-problem]");
  if (!(tile instanceof HTMLElement) || !tag || !problem) return;
  tile.dataset.now = camera.state;
  tag.textContent = states[camera.state] ?? camera.state;
  tag.className = `tag ${tones[camera.state] ?? ""}`;
  problem.textContent = camera.problem ?? "";
  const lost = Object.values(camera.dropped).reduce((sum, one) => sum + one, 0);
  tell(tile, "fps", number(camera.fps, 1));
  tell(tile, "delay", camera.delay_s === null ? "–" : seconds.replace("#", number(camera.delay_s, 1)));
  tell(tile, "waiting", number(camera.waiting));
  tell(tile, "lost", camera.state === "unknown" ? "–" : number(lost));
  tell(tile, "people", number(camera.people));
}

faces?.addEventListener("click", () => {
  faces.setAttribute("aria-pressed", String(!showsFaces()));
  document.getElementById("faces-notice")?.classList.toggle("hidden", !showsFaces());
  restart();
});
boxes?.addEventListener("change", restart);
document.addEventListener("visibilitychange", restart);
restart();
if (wall) follow("cameras", (/** @type {Camera[]} */ cameras) => cameras.forEach(tellState));

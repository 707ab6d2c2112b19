// @ts-check
// Requests of scripts to /v1, in the session of the page.

/** @returns {Record<string, string>} the header that proves that a change comes from this page */
function csrfHeaders() {
  return JSON.parse(document.body.getAttribute("hx-headers") ?? "{}");
}

/**
 * Send a request; the answer's document and headers, also of a failure.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 * @returns {Promise<{ok: boolean, status: number, body: any, headers: Headers}>}
 */
export async function ask(method, path, body, headers = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  /** @type {Record<string, string>} */
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  try {
    const reply = await fetch(path, {
      method,
      headers: { ...csrfHeaders(), ...type, ...headers },
      ...sent,
    });
    const text = await reply.text();
    return { ok: reply.ok, status: reply.status, body: parsed(text), headers: reply.headers };
  } catch {
    return { ok: false, status: 0, body: { detail: "" }, headers: new Headers() };
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { detail: text.slice(0, 200) };
  }
}

/**
 * Return an element with attributes and children.
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/**
 * Show a difference in the unified format, a line each.
 * @param {HTMLElement} place
 * @param {string | null} diff
 */
export function showDiff(place, diff) {
  const lines = (diff ?? "").split("\n").map((line) => {
    const kind = line.startsWith("+") ? "ins" : line.startsWith("-") ? "del" : "span";
    return element(kind, {}, line + "\n");
  });
  place.replaceChildren(element("pre", { class: "diff", tabindex: "0" }, ...lines));
}

/**
 * Show findings of a site file.
 * @param {HTMLElement} place
 * @param {{kind: string, message: string, hint: string, line: number | null}[]} findings
 */
export function showFindings(place, findings) {
  place.replaceChildren(
    ...findings.map((one) =>
      element(
        "li",
        { class: one.kind === "error" ? "finding bad" : "finding" },
        (one.line ? `${one.line}: ` : "") + one.message + (one.hint ? ` (${one.hint})` : ""),
      ),
    ),
  );
}

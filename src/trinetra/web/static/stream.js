// @ts-check
// Follows a live topic: server-sent events, opened again after a refusal, closed in the background.

const SHORTEST_MS = 3000;
const LONGEST_MS = 60000;

/**
 * Call `take` with every message of a topic while the page is in view.
 *
 * The browser itself reconnects after a broken connection, but not after a refusal: then this does,
 * ever more rarely, and not all pages at the same time.
 * @template T
 * @param {string} topic
 * @param {(message: T) => void} take
 */
export function follow(topic, take) {
  /** @type {EventSource | null} */
  let source = null;
  let wait = SHORTEST_MS;
  let timer = 0;

  function open() {
    close();
    const opened = new EventSource(`/v1/streams/${topic}`);
    source = opened;
    opened.onmessage = (event) => {
      wait = SHORTEST_MS;
      take(JSON.parse(event.data));
    };
    opened.onerror = () => {
      if (opened.readyState !== EventSource.CLOSED) return;
      timer = window.setTimeout(open, wait * (0.5 + Math.random()));
      wait = Math.min(2 * wait, LONGEST_MS);
    };
  }

  function close() {
    window.clearTimeout(timer);
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  if (!document.hidden) open();
}

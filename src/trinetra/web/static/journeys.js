// @ts-check
// Draws the ways through the shop as a Sankey diagram, in layers.
import { init } from "./vendor/echarts.js";

/**
 * @typedef {{ name: string, label: string, layer: number }} Place
 * @typedef {{ nodes: Place[], links: { source: string, target: string, value: number }[] }} Ways
 */

/** @param {string} name */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {Ways} ways */
function option(ways) {
  const label = new Map(ways.nodes.map((node) => [node.name, node.label]));
  const text = { color: color("--text"), fontFamily: "inherit" };
  return {
    animation: false,
    textStyle: text,
    tooltip: {
      renderMode: "richText", backgroundColor: color("--raised"), borderColor: color("--line"), textStyle: text,
      formatter: (/** @type {{ data: { source?: string, target?: string, value?: number }, name: string, value: number }} */ shown) =>
        shown.data.source
          ? `${label.get(shown.data.source)} › ${label.get(shown.data.target ?? "")}: ${shown.data.value}`
          : `${label.get(shown.name)}: ${shown.value}`,
    },
    series: [{
      type: "sankey", nodeAlign: "left", draggable: false, left: 8, right: 120, top: 8, bottom: 8,
      data: ways.nodes.map((node) => ({ name: node.name, depth: node.layer })),
      links: ways.links,
      label: { ...text, formatter: (/** @type {{ name: string }} */ node) => label.get(node.name) ?? "" },
      itemStyle: { color: color("--accent"), borderWidth: 0 },
      lineStyle: { color: color("--accent"), opacity: 0.25, curveness: 0.5 },
    }],
  };
}

for (const element of document.querySelectorAll("[data-sankey]")) {
  if (!(element instanceof HTMLElement)) continue;
  /** @type {Ways} */
  const ways = JSON.parse(element.dataset.sankey ?? "{}");
  const chart = init(element, null, { renderer: "canvas" });
  chart.setOption(option(ways));
  window.addEventListener("resize", () => chart.resize());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.setOption(option(ways), true));
}

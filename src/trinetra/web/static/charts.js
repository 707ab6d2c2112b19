// @ts-check
// Draws every element with data-chart by ECharts, in the colors of the page.
import { init } from "./vendor/echarts.js";

/**
 * @typedef {{ name: string, values: (number | null)[], kind: "bar" | "line", quiet: boolean }} Series
 * @typedef {{ title: string, unit: string, categories: string[], series: Series[], marked: string[], watched: (number | null)[] }} Chart
 */

/** @param {string} name */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {number | null} value @param {string} unit */
function shown(value, unit) {
  if (value === null) return "–";
  const language = document.documentElement.lang;
  if (unit === "share") return value.toLocaleString(language, { style: "percent", maximumFractionDigits: 1 });
  if (unit === "s") return `${Math.floor(value / 60)}:${String(Math.round(value % 60)).padStart(2, "0")}`;
  return value.toLocaleString(language, { maximumFractionDigits: unit === "count" ? 0 : 1 });
}

/**
 * Values of which only a part of the time was watched are paler.
 * @param {Series} series @param {(number | null)[]} watched
 */
function paled(series, watched) {
  return series.values.map((value, number) => {
    const share = watched[number] ?? 1;
    return share < 1 ? { value, itemStyle: { opacity: 0.3 + 0.6 * share } } : value;
  });
}

/** @param {Chart} chart */
function option(chart) {
  const quiet = color("--line-strong");
  const text = { color: color("--quiet"), fontFamily: "inherit" };
  const grid = { lineStyle: { color: color("--line") } };
  return {
    animation: false,
    aria: { enabled: false },
    textStyle: text,
    grid: { left: 8, right: 8, top: 32, bottom: 4, containLabel: true },
    legend: { top: 0, right: 0, textStyle: text, show: chart.series.length > 1 },
    tooltip: {
      trigger: "axis", renderMode: "richText", backgroundColor: color("--raised"), borderColor: color("--line"),
      textStyle: { color: color("--text") },
      valueFormatter: (/** @type {number | null} */ value) => shown(value ?? null, chart.unit),
    },
    xAxis: { type: "category", data: chart.categories, axisLabel: text, axisLine: grid, axisTick: { show: false } },
    yAxis: {
      type: "value", splitLine: grid, minInterval: chart.unit === "count" ? 1 : 0,
      axisLabel: { ...text, formatter: (/** @type {number} */ value) => shown(value, chart.unit) },
    },
    series: chart.series.map((series, number) => ({
      name: series.name, type: series.kind, data: paled(series, number === 0 ? chart.watched : []), connectNulls: false, symbolSize: 5,
      itemStyle: { color: series.quiet ? quiet : color(number === 0 ? "--accent" : "--warn") },
      lineStyle: { width: 2, type: series.quiet ? "dashed" : "solid" },
      z: series.quiet ? 1 : 2,
      markLine: number || !chart.marked.length ? undefined : {
        silent: true, symbol: "none", label: { show: false }, lineStyle: { color: color("--warn") },
        data: chart.marked.map((at) => ({ xAxis: at })),
      },
    })),
  };
}

/** @type {Map<HTMLElement, { drawn: ReturnType<typeof init>, told: string }>} */
const drawn = new Map();

/** Draw what is new or has changed, and forget what is gone. */
function drawAll() {
  for (const [element, chart] of drawn) {
    if (!element.isConnected) {
      chart.drawn.dispose();
      drawn.delete(element);
    }
  }
  for (const element of document.querySelectorAll("[data-chart]")) {
    if (!(element instanceof HTMLElement)) continue;
    const told = element.dataset.chart ?? "";
    const known = drawn.get(element);
    if (known?.told === told) continue;
    const chart = known?.drawn ?? init(element, null, { renderer: "canvas" });
    chart.setOption(option(JSON.parse(told)), true);
    drawn.set(element, { drawn: chart, told });
  }
}

/** Draw everything anew, in other colors. */
function redraw() {
  for (const { drawn: chart, told } of drawn.values()) chart.setOption(option(JSON.parse(told)), true);
}

document.body.addEventListener("htmx:afterSettle", drawAll);
window.addEventListener("resize", () => drawn.forEach(({ drawn: chart }) => chart.resize()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
drawAll();

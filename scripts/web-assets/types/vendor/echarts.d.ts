// What our modules use of vendor/echarts.js, which charts.js in the folder above puts together.
export interface Chart {
  setOption(option: object, notMerge?: boolean): void;
  resize(): void;
  dispose(): void;
}
export function init(element: HTMLElement, theme?: object | null, options?: { renderer: "canvas" }): Chart;

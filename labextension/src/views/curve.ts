/** The path of a small curve in an SVG box. Pure. */

export type Point = readonly [number, number];

/** `d` of a path through the points, scaled to fill the box; empty without a finite point. */
export function curvePath(points: readonly Point[], width: number, height: number): string {
  const finite = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  if (finite.length === 0) {
    return '';
  }
  const [left, right] = ends(finite.map(([x]) => x));
  const [low, high] = ends(finite.map(([, y]) => y));
  const px = (x: number) => (right === left ? 0 : ((x - left) / (right - left)) * width);
  const py = (y: number) => (high === low ? height / 2 : ((high - y) / (high - low)) * height);
  const path = finite.map(([x, y], i) => `${i ? 'L' : 'M'}${near(px(x))} ${near(py(y))}`);
  // One point alone would be invisible: it is drawn as a level line.
  return finite.length === 1 ? `${path[0]}H${near(width)}` : path.join('');
}

/** Where a value lies between two others, 0 to 1; for drawing an interval. */
export function place(value: number, low: number, high: number): number {
  return high <= low ? 0.5 : Math.min(1, Math.max(0, (value - low) / (high - low)));
}

function ends(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

function near(value: number): number {
  return Math.round(value * 10) / 10;
}

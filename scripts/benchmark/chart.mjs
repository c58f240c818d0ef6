/** A chart of the ratios as SVG: for each workload a bar for each driver, on a logarithmic scale; 1 is kernel overlayfs. */
import { geometricMean, ratio, tableRatios, yardstick } from "./ratios.mjs";

const barHeight = 9;
const groupGap = 7;
const labelWidth = 290;
const plotWidth = 560;
const valueWidth = 50;
const legendWidth = 125;
const top = 72;
const colours = { native: "#9aa0a6", "overlay-redirect": "#7a9e6f", "fuse-overlayfs": "#d98b4a", unionfs: "#b07aa1" };
const ownColours = ["#2f6db3", "#5b9bd5", "#174a7e"];
const ink = "#24292f";
const faint = "#d0d7de";
const steps = [1, 2, 5];

function escaped(text) {
  return text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
}

function text(x, y, content, more = "") {
  return `<text x="${x}" y="${y}" ${more}>${escaped(content)}</text>`;
}

/** The numbers that get a line: 1, 2 and 5 times each power of ten between two of them that hold all values. */
function gridOf(values) {
  const least = Math.min(0.5, ...values);
  const most = Math.max(2, ...values);
  const grid = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
    for (const step of steps) grid.push(step * 10 ** power);
  }
  const from = grid.filter((line) => line <= least).at(-1) ?? grid[0];
  const to = grid.find((line) => line >= most) ?? grid.at(-1);
  return grid.filter((line) => line >= from && line <= to);
}

function colourOf(names) {
  const own = names.filter((name) => colours[name] === undefined);
  return (name) => colours[name] ?? ownColours[own.indexOf(name) % ownColours.length];
}

/** One group of bars for a workload; the last is for the means. */
function groupsOf(workloads, names, results) {
  const groups = workloads.map(({ name, title }) => ({
    title,
    values: names.map((driver) => ratio(results, name, driver, yardstick)),
  }));
  const means = names.map((driver) => tableRatios(workloads, results, driver));
  const mean = {
    title: "geometric mean",
    bold: true,
    values: means.map((list) => (list.length > 0 ? geometricMean(list) : undefined)),
  };
  return [...groups, mean];
}

/** The text of an SVG file. */
export function drawChart(workloads, drivers, results) {
  const names = drivers.map(({ name }) => name).filter((name) => name !== yardstick);
  const groups = groupsOf(
    workloads.filter(({ table }) => table),
    names,
    results,
  );
  const colour = colourOf(names);
  const grid = gridOf(groups.flatMap(({ values }) => values).filter((value) => value !== undefined));
  const low = Math.log(grid[0]);
  const scale = plotWidth / (Math.log(grid.at(-1)) - low);
  const x = (value) => Number((labelWidth + (Math.log(value) - low) * scale).toFixed(1));
  const groupHeight = names.length * barHeight + groupGap;
  const bottom = top + groups.length * groupHeight;
  const width = labelWidth + plotWidth + valueWidth;
  const height = bottom + 16;
  const shapes = [
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(
      12,
      22,
      "Time relative to kernel overlayfs with default options (shorter is better)",
      'font-size="14" font-weight="bold"',
    ),
  ];
  names.forEach((name, i) => {
    shapes.push(`<rect x="${12 + i * legendWidth}" y="32" width="10" height="10" fill="${colour(name)}"/>`);
    shapes.push(text(26 + i * legendWidth, 41, name));
  });
  for (const line of grid) {
    const one = line === 1;
    shapes.push(
      `<line x1="${x(line)}" x2="${x(line)}" y1="${top - 4}" y2="${bottom}" stroke="${one ? ink : faint}"/>`,
      text(x(line), top - 8, String(Number(line.toPrecision(1))), 'text-anchor="middle" font-size="10"'),
    );
  }
  groups.forEach(({ title, bold, values }, i) => {
    const y = top + i * groupHeight + groupGap / 2;
    const middle = y + (names.length * barHeight) / 2 + 4;
    shapes.push(text(labelWidth - 8, middle, title, `text-anchor="end"${bold ? ' font-weight="bold"' : ""}`));
    values.forEach((value, k) => {
      if (value === undefined) return;
      const at = y + k * barHeight;
      const from = Math.min(x(1), x(value));
      const length = Math.max(1, Math.abs(x(value) - x(1)));
      const label = value < 10 ? value.toFixed(2) : value.toFixed(value < 100 ? 1 : 0);
      shapes.push(
        `<rect x="${from}" y="${at}" width="${length.toFixed(1)}" height="${barHeight - 1}" fill="${colour(names[k])}"/>`,
        text(Math.max(x(1), x(value)) + 3, at + barHeight - 2, label, 'font-size="8"'),
      );
    });
  });
  const font = 'font-family="sans-serif" font-size="11"';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ${font} fill="${ink}">\n${shapes.join("\n")}\n</svg>\n`;
}

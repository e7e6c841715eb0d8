// A line graph with two axes. It is drawn in pixels, so that its texts keep their size.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 50, right: 6, top: 8, bottom: 18 };

/** Axes end at a power of the base, or at one of the steps to the next power. */
const DECIMAL = { base: 10, steps: [1, 2, 5, 10], least: 1 };
const BINARY = { base: 2, steps: [1, 2], least: 1 };
const [MEBIBYTE, GIBIBYTE] = [2 ** 20, 2 ** 30];

/** Returns the axis and unit for values up to this maximum. Half of a count's axis is a whole number. */
const AXES = {
  count: () => ({ ...DECIMAL, steps: [1, 2, 4, 10], least: 2, factor: 1, unit: "" }),
  rate: () => ({ ...DECIMAL, factor: 1, unit: "" }),
  time: (most) =>
    most < 1 ? { ...DECIMAL, factor: 0.001, unit: " ms" } : { ...DECIMAL, factor: 1, unit: " s" },
  memory: (most) =>
    most <= GIBIBYTE / 2
      ? { ...BINARY, factor: MEBIBYTE, unit: " MiB" }
      : { ...BINARY, factor: GIBIBYTE, unit: " GiB" },
};

class Chart {
  /** `lines` names the lines; the area below the first is filled. */
  constructor(title, axis, lines) {
    this.axis = AXES[axis];
    this.title = title;
    this.element = make("figure", "chart");
    const caption = make("figcaption");
    this.now = make("span", "chart-now");
    caption.append(make("span", "chart-title", title), this.now);
    this.svg = part("svg", { role: "img", class: "plot" });
    this.grid = [0, 0.5, 1].map((share) => ({
      share,
      line: part("line", { class: "grid" }),
      text: part("text", { class: "y" }),
    }));
    this.times = [part("text", { class: "x first" }), part("text", { class: "x last" })];
    this.area = part("path", { class: "area" });
    this.lines = lines.map((_, at) => part("path", { class: `line line-${at}` }));
    this.svg.append(
      ...this.grid.flatMap((each) => [each.line, each.text]),
      ...this.times,
      this.area,
      ...this.lines,
    );
    this.element.append(caption, this.svg);
    if (lines.length > 1) this.element.append(this.legend(lines));
  }

  /** Draws a list of points for each line. `text` describes the last point, `more` is shown beside the legend. */
  draw(all, now, text, more = "") {
    setText(this.now, text);
    if (this.more) setText(this.more, more);
    const first = Math.min(...all.flat().map((point) => point.at), now);
    const span = Math.min(Math.max(now - first, SHORT_SPAN), LONG_SPAN);
    const known = all
      .flat()
      .filter((point) => point.value !== null)
      .map((point) => point.value);
    const scale = this.scale(Math.max(0, ...known));
    const [width, height] = [this.element.clientWidth, this.svg.clientHeight];
    if (width === 0) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute(
      "aria-label",
      `${this.title}: now ${text}, at most ${scale.label(Math.max(0, ...known))}`,
    );
    const place = {
      x: (at) => MARGIN.left + (1 - (now - at) / span) * (width - MARGIN.left - MARGIN.right),
      y: (value) => height - MARGIN.bottom - (value / scale.top) * (height - MARGIN.bottom - MARGIN.top),
    };
    this.drawAxes(place, scale, span, now, width, height);
    const runs = all.map((points) => unbroken(points.filter((point) => point.at >= now - span)));
    this.lines.forEach((line, at) =>
      line.setAttribute("d", runs[at].map((run) => path(run, place)).join("")),
    );
    this.area.setAttribute("d", runs[0].map((run) => closed(run, place)).join(""));
  }

  legend(lines) {
    const list = make("ul", "legend");
    lines.forEach((name, at) => list.append(make("li", `legend-${at}`, name)));
    this.more = make("li", "legend-more");
    list.append(this.more);
    return list;
  }

  drawAxes(place, scale, span, now, width, height) {
    for (const { share, line, text } of this.grid) {
      const y = Math.round(place.y(scale.top * share)) + 0.5;
      attributes(line, { x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y });
      attributes(text, { x: MARGIN.left - 6, y: y + 3.5 });
      text.textContent = scale.label(scale.top * share);
    }
    attributes(this.times[0], { x: place.x(now - span), y: height - 4 });
    attributes(this.times[1], { x: place.x(now), y: height - 4 });
    this.times[0].textContent = `${wholeDuration(span / 1000).replace(" 0 s", "")} ago`;
    this.times[1].textContent = "now";
  }

  /** Returns a round upper end, and a function that formats the values below it. */
  scale(most) {
    const { base, steps, least, factor, unit } = this.axis(most);
    const wanted = Math.max(most / factor, least);
    const power = base ** Math.floor(Math.log(wanted) / Math.log(base) + 1e-9);
    const top = power * steps.find((step) => step * power >= wanted * 0.999);
    const digits = top < 10 ? 1 : 0;
    const label = (value) => Number((value / factor).toFixed(digits)).toLocaleString("en") + unit;
    return { top: top * factor, label };
  }
}

function part(name, all = {}) {
  const element = document.createElementNS(SVG, name);
  attributes(element, all);
  return element;
}

function attributes(element, all) {
  for (const [name, value] of Object.entries(all)) element.setAttribute(name, value);
}

/** Splits points into runs, which end where values are missing or the page was hidden. */
function unbroken(points) {
  const runs = [];
  let before = null;
  for (const point of points) {
    if (point.value !== null) {
      if (before === null || point.at - before > GAP) runs.push([]);
      runs.at(-1).push(point);
    }
    before = point.value === null ? null : point.at;
  }
  return runs;
}

function path(run, place) {
  const points = run.map((point) => `${place.x(point.at).toFixed(1)} ${place.y(point.value).toFixed(1)}`);
  // A line from a point to itself is drawn as a dot.
  return `M${points.join("L")}${run.length === 1 ? `L${points[0]}` : ""}`;
}

function closed(run, place) {
  const ground = place.y(0).toFixed(1);
  const [from, to] = [run[0], run.at(-1)].map((point) => `${place.x(point.at).toFixed(1)} ${ground}`);
  return `${path(run, place)}L${to}L${from}Z`;
}

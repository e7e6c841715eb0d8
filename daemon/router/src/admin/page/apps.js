// The applications: each has graphs, processes and failures in a panel that can be collapsed.

/** With more applications than this, panels start collapsed and can be filtered. */
const MANY = 6;

const STATES = { starting: "starts", serving: "serves", draining: "finishes its requests", stopping: "ends" };

/** The panel of each application, by name. */
const panels = new Map();

class AppPanel {
  constructor(name, isOpen) {
    this.name = name;
    this.history = new History();
    this.element = make("details", "panel app");
    this.element.open = isOpen;
    this.badges = make("span", "badges");
    this.figures = make("span", "figures");
    const summary = make("summary");
    summary.append(make("h3", "", name), this.badges, this.figures);
    this.element.append(summary);
    this.element.addEventListener("toggle", () => this.draw());
  }

  /** Creates the content below the title on first use, as there may be thousands of applications. */
  unfold() {
    if (this.charts) return;
    this.facts = make("p", "facts");
    this.troubles = make("ul", "troubles");
    this.charts = [
      new Chart("Requests/s", "rate", [""]),
      new Chart("Queue", "count", [""]),
      new Chart("Answer time", "time", ["mean", "queued"]),
      new Chart("Memory", "memory", [""]),
    ];
    const charts = make("div", "charts");
    charts.append(...this.charts.map((chart) => chart.element));
    this.processes = new Table(`Processes of ${this.name}`, processColumns(this.history));
    this.noProcess = make("p", "empty", "No process runs: one is started at the next request.");
    this.element.append(this.troubles, charts, this.processes.element, this.noProcess, this.facts);
  }

  show(app, bounds) {
    this.app = app;
    this.bounds = bounds;
    fillChildren(
      this.badges,
      badges(app),
      () => make("span"),
      (badge, [text, kind]) => {
        setText(badge, text);
        setClasses(badge, `badge ${kind}`);
      },
    );
    const figures = [
      `${rate(this.history.rate())} /s`,
      plural(app.processes.length, "process", "processes"),
      `${app.queue} queued`,
    ];
    fillChildren(this.figures, figures, () => make("span"), setText);
    this.draw();
  }

  /** Draws the panel unless it is collapsed. */
  draw() {
    if (!this.element.open || !this.app) return;
    this.unfold();
    const { app, history } = this;
    setText(this.facts, facts(app));
    fillChildren(this.troubles, troubles(app), () => make("li"), setText);
    setClasses(this.troubles, history.freshTroubles() > 0 ? "troubles fresh" : "troubles");
    this.processes.show(app.processes, (process) => (process.state === "serving" ? "" : "leaving"));
    this.processes.element.hidden = app.processes.length === 0;
    this.noProcess.hidden = app.processes.length > 0 || app.spawning > 0;
    this.drawCharts(performance.now());
  }

  drawCharts(now) {
    const { history, charts } = this;
    const [answers, waits] = [history.means("answers"), history.means("waits")];
    charts[0].draw([history.rates()], now, rate(history.rate()));
    charts[1].draw([history.queue()], now, String(this.app.queue));
    charts[2].draw(
      [answers, waits],
      now,
      latency(answers.at(-1)?.value ?? null),
      bound(history.nearlyAll(this.bounds)),
    );
    charts[3].draw([history.memory()], now, memory(history.memory().at(-1).value));
  }
}

/** Complements the mean, which hides slow requests. */
function bound(nearlyAll) {
  if (nearlyAll === null) return "";
  return nearlyAll === Infinity ? "5 % above 60 s" : `95 % ≤ ${latency(nearlyAll).replace(".0", "")}`;
}

function processColumns(history) {
  return [
    textColumn("PID", "pid", (process) => process.pid),
    { title: "State", classes: "state-of", fill: fillState },
    textColumn("Requests", "number", (process) => `${process.sessions} of ${process.concurrency ?? "∞"}`),
    textColumn("Served", "number", (process) => process.processed.toLocaleString("en")),
    textColumn("CPU", "number", (process) => `${history.cpu(process.pid) ?? process.cpu} %`),
    textColumn("Memory", "number", (process) => memory(process.memory)),
    textColumn("Runs for", "number", (process) => wholeDuration(process.uptime)),
    textColumn("Last used", "number", (process) => `${wholeDuration(process.last_used)} ago`),
    textColumn("User", "user", (process) => process.user),
  ];
}

function fillState(cell, process) {
  const [state, version] = pair(cell, "span", "span");
  setText(state, STATES[process.state] ?? process.state);
  setText(version, process.outdated ? "old version" : "");
  setClasses(version, process.outdated ? "badge slow" : "");
}

/** Returns badges for the current state of an application. */
function badges(app) {
  const all = [];
  if (app.mode === "paused") all.push(["paused: its requests wait", "slow"]);
  if (app.mode === "maintenance") all.push(["under maintenance", "slow"]);
  if (app.spawning > 0) all.push([`${plural(app.spawning, "process starts", "processes start")}`, "info"]);
  if (app.deployment === "rolling") all.push(["restarting one by one", "info"]);
  if (app.deployment === "resisting") all.push(["new version does not start: the old one serves", "hangs"]);
  if (app.queue > 0) all.push([`${app.queue} queued`, "slow"]);
  return all;
}

function facts(app) {
  const all = [app.app_type, app.environment, app.app_root, plural(app.restarts, "restart", "restarts")];
  return all.join(" · ");
}

/** Returns the failures since the counters started. */
function troubles(app) {
  const all = [];
  const say = (count, one, many, more = "") => count > 0 && all.push(`${plural(count, one, many)}${more}`);
  const report = app.last_error_id ? `; the last one: passenger-config spawn-error ${app.last_error_id}` : "";
  const { queue_full: full, queued_too_long: late, no_process: none } = app.rejected;
  say(app.failed_starts, "process did not start", "processes did not start", report);
  say(app.crashes, "process crashed", "processes crashed");
  say(
    full,
    "request was turned away",
    "requests were turned away",
    `: the queue was full (${app.max_queue})`,
  );
  say(
    late,
    "request was turned away",
    "requests were turned away",
    ": it took too long until a process was free",
  );
  say(none, "request failed", "requests failed", ": no process started");
  say(app.rejected.maintenance, "request was told", "requests were told", " of the maintenance");
  return all;
}

/** Shows all applications in order; removes those that no longer exist. */
function showApps(status, now) {
  const router = { generation: status.router_generation, ms: status.router_ms };
  const names = new Set(status.apps.map((app) => app.name));
  for (const [name, panel] of panels) {
    if (!names.has(name)) {
      panel.element.remove();
      panels.delete(name);
    }
  }
  status.apps.forEach((app, at) => {
    const panel = panelOf(app.name, status.apps.length <= MANY);
    if (byId("apps").children[at] !== panel.element)
      byId("apps").insertBefore(panel.element, byId("apps").children[at]);
    panel.history.add(now, router, app, status.apps.length);
    panel.show(app, status.bounds);
  });
  byId("no-app").hidden = names.size > 0;
  byId("filter-label").hidden = names.size <= MANY;
  filterApps();
}

function panelOf(name, isOpen) {
  if (!panels.has(name)) panels.set(name, new AppPanel(name, isOpen));
  return panels.get(name);
}

function filterApps() {
  const wanted = byId("filter-label").hidden ? "" : byId("filter").value.trim().toLowerCase();
  for (const panel of panels.values()) panel.element.hidden = !panel.name.toLowerCase().includes(wanted);
}

byId("filter").addEventListener("input", filterApps);
window.addEventListener("resize", () => panels.forEach((panel) => panel.draw()));

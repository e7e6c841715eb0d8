// The applications: each has graphs, processes and failures in a panel that can be collapsed.

/** With more applications than this, panels start collapsed and can be filtered. */
const MANY = 6;

const STATES = { starting: "starting", serving: "serving", draining: "finishing requests", stopping: "stopping" };

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
    this.failures = make("ul", "failures");
    this.lastError = new LastError();
    this.charts = [
      new Chart("Requests/s", "rate", [""]),
      new Chart("Queue", "count", [""]),
      new Chart("Response time", "time", ["mean", "queued"]),
      new Chart("Memory", "memory", [""]),
    ];
    const charts = make("div", "charts");
    charts.append(...this.charts.map((chart) => chart.element));
    this.processes = new Table(`Processes of ${this.name}`, processColumns(this.history));
    this.noProcess = make("p", "empty", "No process is running. The next request starts one.");
    this.element.append(this.failures, this.lastError.element, charts, this.processes.element, this.noProcess, this.facts);
  }

  show(app, bounds) {
    this.app = app;
    this.bounds = bounds;
    this.urgency = urgency(app, this.history.recentFailures());
    setClasses(this.element, `panel app ${["", "recent", "failing"][this.urgency]}`.trim());
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
    fillChildren(this.failures, failures(app), () => make("li"), setText);
    this.lastError.show(app.last_error);
    setClasses(this.failures, history.recentFailures() > 0 ? "failures recent" : "failures");
    this.processes.show(app.processes, (process) => (process.state === "serving" ? "" : "leaving"));
    this.processes.element.hidden = app.processes.length === 0;
    this.noProcess.hidden = app.processes.length > 0 || app.spawning > 0;
    this.drawCharts(performance.now());
  }

  drawCharts(now) {
    const { history, charts } = this;
    const [total, queued] = [history.means("responseTime"), history.means("queueTime")];
    charts[0].draw([history.rates()], now, rate(history.rate()));
    charts[1].draw([history.queue()], now, String(this.app.queue));
    charts[2].draw(
      [total, queued],
      now,
      latency(total.at(-1)?.value ?? null),
      percentile(history.percentile95(this.bounds)),
    );
    charts[3].draw([history.memory()], now, memory(history.memory().at(-1).value));
  }
}

/** Complements the mean, which hides slow requests. */
function percentile(bound) {
  if (bound === null) return "";
  return bound === Infinity ? "5 % above 60 s" : `95 % ≤ ${latency(bound).replace(".0", "")}`;
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
  if (app.failing_starts > 0) all.push(failingBadge(app));
  if (app.mode === "paused") all.push(["paused: requests wait", "slow"]);
  if (app.mode === "maintenance") all.push(["under maintenance", "slow"]);
  if (app.spawning > 0) all.push([`${plural(app.spawning, "process starting", "processes starting")}`, "info"]);
  if (app.deployment === "rolling") all.push(["restarting one by one", "info"]);
  if (app.deployment === "resisting") all.push(["new version failed to start: the old one serves", "hangs"]);
  if (isBelowMinimum(app)) all.push([`fewer than passenger_min_instances ${app.min_instances}: the pool is full`, "slow"]);
  if (app.queue > 0) all.push([`${app.queue} queued`, "slow"]);
  return all;
}

function facts(app) {
  const all = [app.app_type, app.environment, app.app_root, plural(app.restarts, "restart", "restarts")];
  return all.join(" · ");
}

/** Returns the failures since the counters started. */
function failures(app) {
  const all = [];
  const add = (count, one, many, more = "") => count > 0 && all.push(`${plural(count, one, many)}${more}`);
  const { queue_full: full, queued_too_long: late, no_process: none } = app.rejected;
  add(app.spawn_failures, "process failed to start", "processes failed to start");
  add(app.crashes, "process crashed", "processes crashed");
  add(
    full,
    "request was refused",
    "requests were refused",
    `: the queue was full (${app.max_request_queue_size})`,
  );
  add(
    late,
    "request was refused",
    "requests were refused",
    ": maximum time in the queue exceeded",
  );
  add(none, "request failed", "requests failed", ": no process started");
  add(app.evictions, "process ended", "processes ended", ": other applications needed room (max_pool_size)");
  add(app.rejected.maintenance, "request was refused", "requests were refused", ": maintenance");
  return all;
}

/** Shows all applications, the most urgent first; removes those that no longer exist. */
function showApps(status, now) {
  const router = { generation: status.router_generation, ms: status.router_ms };
  const names = new Set(status.apps.map((app) => app.name));
  for (const [name, panel] of panels) {
    if (!names.has(name)) {
      panel.element.remove();
      panels.delete(name);
    }
  }
  const shown = status.apps.map((app) => {
    const panel = panelOf(app.name, status.apps.length <= MANY);
    panel.history.add(now, router, app, status.apps.length);
    panel.show(app, status.bounds);
    return panel;
  });
  // The sort is stable: applications of the same urgency stay in the daemon's order.
  shown.sort((one, other) => other.urgency - one.urgency);
  shown.forEach((panel, at) => {
    if (byId("apps").children[at] !== panel.element)
      byId("apps").insertBefore(panel.element, byId("apps").children[at]);
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

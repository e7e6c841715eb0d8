// What is wrong: problems of the daemon, and applications that do not start, which come first and are coloured.

const OUTCOMES = { done: "done in", failed: "failed after", not_begun: "not begun" };

/** Whether the application has no process that serves, and its starts fail. */
function cannotStart(app) {
  return app.failing_starts > 0 && !app.processes.some((process) => process.state === "serving");
}

/** Returns how urgent an application is: 2 if its starts fail, 1 if something failed in the last minute. */
function urgency(app, recentFailures) {
  if (app.failing_starts > 0 || app.deployment === "resisting") return 2;
  return recentFailures > 0 ? 1 : 0;
}

/** Returns the badge of an application whose starts fail. */
function failingBadge(app) {
  const starts = `${plural(app.failing_starts, "start", "starts")} failed`;
  return [cannotStart(app) ? `cannot start: ${starts}` : starts, "hangs"];
}

/** Whether other applications have taken processes that the configuration keeps. */
function isBelowMinimum(app) {
  const kept = app.processes.filter((process) => process.state === "serving").length + app.spawning;
  return app.evictions > 0 && kept < app.min_instances;
}

/** Details of an application's last failed start. */
class LastError {
  constructor() {
    this.element = make("details", "last-error");
    this.title = make("summary");
    this.steps = make("ul");
    this.process = make("p");
    this.command = make("code");
    const hint = make("p", "", "Cause, output and environment: ");
    hint.append(this.command);
    this.element.append(this.title, this.steps, this.process, hint);
  }

  show(error) {
    this.element.hidden = !error;
    if (!error) return;
    setText(this.title, `Last failed start: error ID ${error.id}, ${wholeDuration(error.seconds)} ago`);
    const text = ({ step, outcome, ms }) =>
      outcome === "not_begun" ? `${step}: not begun` : `${step}: ${OUTCOMES[outcome]} ${ms} ms`;
    fillChildren(this.steps, error.steps, () => make("li"), (item, step) => {
      setText(item, text(step));
      setClasses(item, step.outcome === "failed" ? "failed" : "");
    });
    const user = error.user ? ` as ${error.user}` : "";
    setText(this.process, error.pid ? `Process ${error.pid}${user} ${error.end ?? "was killed"}.` : "");
    setText(this.command, `sudo passenger-config spawn-error ${error.id}`);
  }
}

/** Opens the panel of an application and moves to it. */
function openApp(name) {
  const panel = panels.get(name);
  if (!panel) return;
  byId("filter").value = "";
  filterApps();
  panel.element.open = true;
  panel.element.scrollIntoView();
  panel.element.querySelector("summary").focus({ preventScroll: true });
}

function showProblems(problems) {
  const text = ({ what, seconds }) => `${what} (for ${wholeDuration(seconds)})`;
  fillChildren(byId("problems"), problems, () => make("li"), (item, problem) => setText(item, text(problem)));
}

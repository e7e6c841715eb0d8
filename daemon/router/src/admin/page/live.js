// Polling: fetches the data once a second while the page is visible, shows it, and reports a missing response.

/** Interval between requests, in milliseconds. */
const INTERVAL = 1_000;
/** Timeout of a request. */
const TIMEOUT = 5_000;

/** Time of the last response, and the release that sent it. */
let lastResponse = null;
let release = null;
let isPolling = false;
let timer = null;

async function poll() {
  clearTimeout(timer);
  if (isPolling || document.hidden) return;
  isPolling = true;
  const began = performance.now();
  try {
    show(await fetchStatus());
  } catch (error) {
    showOld(error.message);
  } finally {
    isPolling = false;
    timer = setTimeout(poll, Math.max(0, INTERVAL - (performance.now() - began)));
  }
}

/** Fetches the daemon's data; throws the reason on failure. */
async function fetchStatus() {
  const response = await fetch("?data", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) }).catch(
    (error) => {
      throw new Error(
        error.name === "TimeoutError" ? "No response within 5 seconds." : "The web server cannot be reached.",
      );
    },
  );
  if ([502, 503, 504].includes(response.status)) {
    throw new Error(`flying-passenger does not respond: the web server returns status ${response.status}.`);
  }
  if (!response.ok)
    throw new Error(`The web server refuses access: it returns status ${response.status}.`);
  return response.json().catch(() => {
    throw new Error("The web server returned something other than the state of flying-passenger.");
  });
}

function show(status) {
  // After an upgrade the daemon may send data that this page does not know.
  release ??= status.version;
  if (release !== status.version) return location.reload();
  const now = performance.now();
  lastResponse = new Date();
  setState("live", "Live");
  byId("alarm").hidden = true;
  byId("main").hidden = false;
  showProblems(status.problems);
  showApps(status, now);
  showRequests(status.requests);
  showOverview({ ...status, ...sums(status) });
  const oldest = status.requests.waiting.oldest.filter((request) => request.age_ms >= HANGS).length;
  const failing = status.apps.filter(cannotStart).length;
  const alarms = [oldest > 0 && `${oldest} hang`, failing > 0 && `${failing} cannot start`].filter(Boolean);
  document.title = alarms.length > 0 ? `(${alarms.join(", ")}) Flying Passenger` : "Flying Passenger";
  setText(byId("instance"), `instance ${status.instance}, version ${status.version}`);
  setText(byId("updated"), `as of ${clock(lastResponse)}`);
  setText(
    byId("footer"),
    `Failures are counted since the router started ${wholeDuration(status.router_ms / 1000)} ago.`,
  );
}

function sums(status) {
  const all = [...panels.values()];
  const sum = (value) => all.reduce((total, panel) => total + value(panel), 0);
  const isKnown = all.some((panel) => panel.history.rate() !== null);
  return {
    rate: isKnown || all.length === 0 ? sum((panel) => panel.history.rate() ?? 0) : null,
    memory: sum((panel) => panel.history.samples.at(-1).memory),
    queue: status.apps.reduce((total, app) => total + app.queue, 0),
    failures: sum((panel) => panel.history.samples.at(-1).failures),
    recentFailures: sum((panel) => panel.history.recentFailures()),
  };
}

/** Warns that the data shown is out of date. */
function showOld(why) {
  setState("old", "No response");
  byId("alarm").hidden = false;
  setText(byId("alarm-text"), why);
  const age = lastResponse ? Math.round((Date.now() - lastResponse.getTime()) / 1000) : 0;
  const since = lastResponse ? `The data shown is from ${clock(lastResponse)}, ${wholeDuration(age)} ago. ` : "";
  setText(byId("alarm-age"), `${since}The page retries every second.`);
  document.title = "(no response) Flying Passenger";
}

function setState(state, word) {
  setText(byId("state"), word);
  if (document.documentElement.dataset.state !== state) document.documentElement.dataset.state = state;
}

document.addEventListener("visibilitychange", poll);
poll();

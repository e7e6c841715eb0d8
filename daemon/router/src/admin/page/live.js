// Polling: fetches the data once a second while the page is visible, shows it, and reports a missing answer.

/** Interval between requests, in milliseconds. */
const EVERY = 1_000;
/** Timeout of a request. */
const PATIENCE = 5_000;

/** Time of the last answer, and the release that sent it. */
let lastAnswer = null;
let release = null;
let isAsking = false;
let timer = null;

async function ask() {
  clearTimeout(timer);
  if (isAsking || document.hidden) return;
  isAsking = true;
  const began = performance.now();
  try {
    show(await answer());
  } catch (error) {
    showOld(error.message);
  } finally {
    isAsking = false;
    timer = setTimeout(ask, Math.max(0, EVERY - (performance.now() - began)));
  }
}

/** Fetches the daemon's data; throws the reason on failure. */
async function answer() {
  const response = await fetch("?data", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) }).catch(
    (error) => {
      throw new Error(
        error.name === "TimeoutError" ? "There is no answer." : "The web server cannot be reached.",
      );
    },
  );
  if ([502, 503, 504].includes(response.status)) {
    throw new Error(`flying-passenger does not answer: the web server says ${response.status}.`);
  }
  if (!response.ok)
    throw new Error(`The web server does not let this page ask any more: it says ${response.status}.`);
  return response.json().catch(() => {
    throw new Error("The web server answers with something else than the state of flying-passenger.");
  });
}

function show(status) {
  // After an upgrade the daemon may send data that this page does not know.
  release ??= status.version;
  if (release !== status.version) return location.reload();
  const now = performance.now();
  lastAnswer = new Date();
  setState("live", "Live");
  byId("alarm").hidden = true;
  byId("main").hidden = false;
  showApps(status, now);
  showRequests(status.requests);
  showOverview({ ...status, ...sums(status) });
  const oldest = status.requests.waiting.oldest.filter((request) => request.age_ms >= HANGS).length;
  document.title = oldest > 0 ? `(${oldest} hang) Flying Passenger` : "Flying Passenger";
  setText(byId("instance"), `instance ${status.instance}, version ${status.version}`);
  setText(byId("updated"), `as of ${clock(lastAnswer)}`);
  setText(
    byId("footer"),
    `Failures are counted since this router began ${wholeDuration(status.router_ms / 1000)} ago.`,
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
    troubles: sum((panel) => panel.history.samples.at(-1).troubles),
    freshTroubles: sum((panel) => panel.history.freshTroubles()),
  };
}

/** Warns that the data shown is out of date. */
function showOld(why) {
  setState("old", "No answer");
  byId("alarm").hidden = false;
  setText(byId("alarm-text"), why);
  const age = lastAnswer ? Math.round((Date.now() - lastAnswer.getTime()) / 1000) : 0;
  const since = lastAnswer ? `What you see is of ${clock(lastAnswer)}, ${wholeDuration(age)} ago. ` : "";
  setText(byId("alarm-age"), `${since}This page asks again every second.`);
  document.title = "(no answer) Flying Passenger";
}

function setState(state, word) {
  setText(byId("state"), word);
  if (document.documentElement.dataset.state !== state) document.documentElement.dataset.state = state;
}

document.addEventListener("visibilitychange", ask);
ask();

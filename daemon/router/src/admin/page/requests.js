// The active requests: first those that wait for a response, the oldest on top, since they may hang.

/** Minimum age of a listed request, in milliseconds: shorter ones vanish before they can be read. */
const LISTED = 500;
/** Age from which a request without a response is called slow. */
const SLOW = 2_000;
/** Age from which it is called hanging. */
const HANGS = 10_000;

const REQUEST_COLUMNS = [
  { title: "Age", classes: "age", fill: fillAge },
  { title: "Request", classes: "request", fill: fillRequest },
  { title: "Phase", classes: "phase", fill: fillPhase },
  textColumn("PID", "pid", (request) => request.pid ?? NOTHING),
  textColumn("Client", "client", (request) => request.client || "unix socket"),
];

const waitingTable = new Table("Requests waiting for a response, the oldest first", REQUEST_COLUMNS);
const respondingTable = new Table("Requests with a response in progress, the oldest first", REQUEST_COLUMNS);

function showRequests(requests) {
  const { waiting, responding } = requests;
  const oldest = waiting.oldest[0]?.age_ms ?? 0;
  setText(byId("requests-summary"), waitingSummary(waiting, oldest));
  setClasses(byId("requests-summary"), `summary ${severity(oldest)}`);
  const listed = waiting.oldest.filter((request) => request.age_ms >= LISTED);
  waitingTable.show(listed, (request) => severity(request.age_ms));
  waitingTable.element.hidden = listed.length === 0;
  byId("phases").hidden = listed.length === 0;
  byId("responding").hidden = responding.count === 0;
  setText(byId("responding-summary"), respondingSummary(responding));
  if (byId("responding").open) respondingTable.show(responding.oldest);
}

function waitingSummary(waiting, oldest) {
  if (waiting.count === 0) return "None at this moment";
  return `${plural(waiting.count, "request", "requests")}, the oldest for ${duration(oldest)}`;
}

function respondingSummary(responding) {
  const more = responding.count - responding.oldest.length;
  const shown = more > 0 ? `, of which the oldest ${responding.oldest.length} are listed` : "";
  const responses = plural(responding.count, "response", "responses");
  return `${responses} in progress: downloads, streams, WebSockets${shown}`;
}

/** Returns how serious this age of a waiting request is. */
function severity(age) {
  if (age >= HANGS) return "hangs";
  return age >= SLOW ? "slow" : "";
}

function fillAge(cell, request) {
  const [age, verdict] = pair(cell, "span", "span");
  setText(age, duration(request.age_ms));
  const word = request.phase === "responding" ? "" : severity(request.age_ms);
  setText(verdict, word);
  setClasses(verdict, `verdict ${word}`);
}

function fillRequest(cell, request) {
  const [line, app] = pair(cell, "code", "span");
  setClasses(app, "app-name");
  const [method, path] = pair(line, "b", "span");
  setText(method, request.method);
  setText(path, request.path);
  setText(app, request.app);
}

function fillPhase(cell, request) {
  const [phase, since] = pair(cell, "span", "span");
  setText(phase, request.phase);
  setClasses(phase, `pill ${request.phase}`);
  setClasses(since, "since");
  // Omitted in the first phase, where it equals the age.
  const isFirst = request.age_ms - request.phase_ms < 100;
  setText(since, isFirst ? "" : `for ${duration(request.phase_ms)}`);
}

/** Returns the two elements of a cell, and creates them on first use. */
function pair(parent, first, second) {
  if (parent.children.length === 0) parent.append(make(first), " ", make(second));
  return parent.children;
}

for (const table of [waitingTable, respondingTable]) table.element.classList.add("requests");
byId("requests").append(waitingTable.element);
byId("responding-table").append(respondingTable.element);

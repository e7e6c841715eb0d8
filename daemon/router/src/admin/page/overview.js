// Metrics of the daemon as a whole, at the top of the page.

const TILES = [
  { name: "Requests per second", show: (status) => ({ value: rate(status.rate) }) },
  { name: "Waiting for a response", show: showWaiting },
  { name: "Queued", show: showQueued },
  { name: "Processes", show: showCapacity },
  { name: "Memory", show: (status) => ({ value: memory(status.memory) }) },
  { name: "Failures", show: showFailures },
];

const tiles = TILES.map(({ name, show }) => {
  const tile = make("div", "tile");
  const [value, note, link] = [make("dd", "tile-value"), make("dd", "tile-note"), make("a")];
  link.href = "#apps";
  link.addEventListener("click", (event) => {
    event.preventDefault();
    openApp(link.dataset.app);
  });
  const text = make("span");
  note.append(text, link);
  tile.append(make("dt", "", name), value, note);
  byId("tiles").append(tile);
  return { tile, value, text, link, show };
});

/** `status` is the daemon's data with the sums over its applications. */
function showOverview(status) {
  for (const { tile, value, text, link, show } of tiles) {
    const shown = show(status);
    setText(value, shown.value);
    setText(text, shown.note ?? "");
    setText(link, shown.link ?? "");
    link.hidden = !shown.link;
    link.dataset.app = shown.app ?? "";
    setClasses(tile, `tile ${shown.classes ?? ""}`);
  }
}

function showWaiting({ requests }) {
  const oldest = requests.waiting.oldest[0]?.age_ms ?? 0;
  const note = requests.waiting.count > 0 ? `oldest: ${duration(oldest)}` : "";
  return { value: requests.waiting.count.toLocaleString("en"), note, classes: severity(oldest) };
}

function showQueued({ queue }) {
  return { value: queue.toLocaleString("en"), classes: queue > 0 ? "slow" : "" };
}

function showCapacity({ capacity_used: used, max_pool_size: most }) {
  const isFull = most > 0 && used >= most;
  return {
    value: `${used} of ${most}`,
    note: isFull ? "none can be added" : "",
    classes: isFull ? "slow" : "",
  };
}

function showFailures({ apps, failures, recentFailures, router_ms: since }) {
  const value = failures.toLocaleString("en");
  const urgent = [...panels.values()].filter((panel) => panel.urgency > 0);
  urgent.sort((one, other) => other.urgency - one.urgency);
  const failing = apps.filter((app) => app.failing_starts > 0).length;
  if (failing > 0) {
    const link = `${plural(failing, "app fails", "apps fail")} to start`;
    return { value, link, app: urgent[0]?.name, classes: "hangs" };
  }
  if (recentFailures > 0) {
    return { value, link: `${recentFailures} in the last minute`, app: urgent[0]?.name, classes: "hangs" };
  }
  return { value, note: `in the last ${wholeDuration(since / 1000)}` };
}

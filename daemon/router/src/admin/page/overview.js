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
  const [value, note] = [make("dd", "tile-value"), make("dd", "tile-note")];
  tile.append(make("dt", "", name), value, note);
  byId("tiles").append(tile);
  return { tile, value, note, show };
});

/** `status` is the daemon's data with the sums over its applications. */
function showOverview(status) {
  for (const { tile, value, note, show } of tiles) {
    const shown = show(status);
    setText(value, shown.value);
    setText(note, shown.note ?? "");
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

function showFailures({ failures, recentFailures, router_ms: since }) {
  const note =
    recentFailures > 0 ? `${recentFailures} in the last minute` : `in the last ${wholeDuration(since / 1000)}`;
  return { value: failures.toLocaleString("en"), note, classes: recentFailures > 0 ? "hangs" : "" };
}

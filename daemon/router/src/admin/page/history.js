// History of each application: turns the daemon's counters, sampled once a second, into points for graphs. Counters
// start at 0 with each router, so differences are taken only between samples of one router.

/** Time that graphs cover, in milliseconds. */
const LONG_SPAN = 300_000;
/** Maximum number of applications for that; with more it would need too much memory, and SHORT_SPAN applies. */
const FEW = 100;
/** Time that graphs cover with more applications. */
const SHORT_SPAN = 60_000;
/** Period over which rates and means are computed: a shorter one would make graphs jagged at low traffic. */
const WINDOW = 5_000;
/** Samples further apart than this have a gap between them: the page was hidden meanwhile. */
const GAP = 5_000;

/** The samples of one application. */
class History {
  constructor() {
    this.samples = [];
  }

  /** Adds a sample of an application, one of `count`, at this time of the page and of this router. */
  add(now, router, app, count) {
    const last = this.samples.at(-1);
    if (last && last.router === router.generation && last.routerMs === router.ms) return;
    this.samples.push({
      at: now,
      router: router.generation,
      routerMs: router.ms,
      finished: app.finished,
      queue: app.queue,
      responseTime: app.response_time,
      queueTime: app.queue_time,
      memory: app.processes.reduce((sum, process) => sum + process.memory, 0),
      failures: app.spawn_failures + app.crashes + refused(app),
      cpu: new Map(app.processes.map((process) => [process.pid, process.cpu_ms])),
    });
    while (this.samples[0].at < now - (count > FEW ? SHORT_SPAN : LONG_SPAN)) this.samples.shift();
  }

  /** Returns requests per second during the last seconds; `null` when unknown. */
  rate() {
    return this.rates().at(-1)?.value ?? null;
  }

  rates() {
    return this.between((from, to, seconds) => (to.finished - from.finished) / seconds);
  }

  queue() {
    return this.samples.map((sample) => ({ at: sample.at, value: sample.queue }));
  }

  memory() {
    return this.samples.map((sample) => ({ at: sample.at, value: sample.memory }));
  }

  /** Returns means of `kind`, "responseTime" or "queueTime"; `null` where there were no requests. */
  means(kind) {
    return this.between((from, to) => {
      const count = to[kind].count - from[kind].count;
      return count > 0 ? (to[kind].seconds - from[kind].seconds) / count : null;
    });
  }

  /** Returns the bound of 95 % of the last minute's response times: `null` without any, Infinity above all bounds. */
  percentile95(bounds) {
    const to = this.samples.at(-1);
    const from = this.since(SHORT_SPAN);
    const count = to.responseTime.count - from.responseTime.count;
    if (count <= 0) return null;
    const at = to.responseTime.cumulative.findIndex(
      (below, bound) => below - from.responseTime.cumulative[bound] >= count * 0.95,
    );
    return at < 0 ? Infinity : bounds[at];
  }

  /** Returns the number of failures during the last minute. */
  recentFailures() {
    return this.samples.at(-1).failures - this.since(SHORT_SPAN).failures;
  }

  /** Returns the share of a core that a process used during the last seconds, in percent; `null` when unknown. */
  cpu(pid) {
    const to = this.samples.at(-1);
    const from = this.since(WINDOW);
    const span = to.routerMs - from.routerMs;
    const used = to.cpu.get(pid) - from.cpu.get(pid);
    return span > 0 && used >= 0 ? Math.round((used / span) * 100) : null;
  }

  /** Returns this router's oldest sample within this time. */
  since(milliseconds) {
    const last = this.samples.at(-1);
    return this.samples.find(
      (sample) => sample.router === last.router && sample.at >= last.at - milliseconds,
    );
  }

  /** Applies `value` to each sample and the first one of its window. */
  between(value) {
    let first = 0;
    return this.samples.map((to) => {
      while (this.samples[first].at < to.at - WINDOW || this.samples[first].router !== to.router) first += 1;
      const from = this.samples[first];
      const seconds = (to.routerMs - from.routerMs) / 1000;
      return { at: to.at, value: seconds > 0 ? value(from, to, seconds) : null };
    });
  }
}

/** Returns the number of requests without a response of the application, apart from those refused by maintenance. */
function refused(app) {
  return app.rejected.queue_full + app.rejected.queued_too_long + app.rejected.no_process;
}

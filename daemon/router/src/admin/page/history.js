// What was seen so far: the daemon's counters come in once a second, points for graphs go out. Counters begin
// anew with each router, so a difference counts only between two samples of one.

/** Longest time that graphs look back, in milliseconds. */
const LONGEST = 300_000;
/** With more applications than these, that would take too much memory: it is the shortest time then. */
const FEW = 100;
/** Shortest time that they show. */
const SHORTEST = 60_000;
/** Rates and means are of so long a time, or few requests would make a saw of them. */
const WINDOW = 5_000;
/** Two samples that are further apart have a gap between them: nobody looked meanwhile. */
const GAP = 5_000;

/** The samples of one application. */
class History {
  constructor() {
    this.samples = [];
  }

  /** Takes in an application, one of `count`, at this time of the page's, and of this router's. */
  add(now, router, app, count) {
    const last = this.samples.at(-1);
    if (last && last.router === router.generation && last.routerMs === router.ms) return;
    this.samples.push({
      at: now,
      router: router.generation,
      routerMs: router.ms,
      finished: app.finished,
      queue: app.queue,
      answers: app.answers,
      waits: app.waits,
      memory: app.processes.reduce((sum, process) => sum + process.memory, 0),
      troubles: app.failed_starts + app.crashes + turnedAway(app),
      cpu: new Map(app.processes.map((process) => [process.pid, process.cpu_ms])),
    });
    while (this.samples[0].at < now - (count > FEW ? SHORTEST : LONGEST)) this.samples.shift();
  }

  /** Requests per second during the last seconds; `null` when that is not known. */
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

  /** The mean time of `kind`, "answers" or "waits"; nothing where no request came to it. */
  means(kind) {
    return this.between((from, to) => {
      const count = to[kind].count - from[kind].count;
      return count > 0 ? (to[kind].seconds - from[kind].seconds) / count : null;
    });
  }

  /** Within which bound 95 of 100 answers of the last minute began: `null` without any, Infinity for none. */
  nearlyAll(bounds) {
    const to = this.samples.at(-1);
    const from = this.since(SHORTEST);
    const count = to.answers.count - from.answers.count;
    if (count <= 0) return null;
    const at = to.answers.within.findIndex(
      (within, bound) => within - from.answers.within[bound] >= count * 0.95,
    );
    return at < 0 ? Infinity : bounds[at];
  }

  /** What went wrong during the last minute. */
  freshTroubles() {
    return this.samples.at(-1).troubles - this.since(SHORTEST).troubles;
  }

  /** The share of a core that a process used during the last seconds, in percent; `null` when not known. */
  cpu(pid) {
    const to = this.samples.at(-1);
    const from = this.since(WINDOW);
    const span = to.routerMs - from.routerMs;
    const used = to.cpu.get(pid) - from.cpu.get(pid);
    return span > 0 && used >= 0 ? Math.round((used / span) * 100) : null;
  }

  /** The oldest sample of this router that is no older than this. */
  since(milliseconds) {
    const last = this.samples.at(-1);
    return this.samples.find(
      (sample) => sample.router === last.router && sample.at >= last.at - milliseconds,
    );
  }

  /** For each sample what it and the one at the beginning of its window make together. */
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

/** Requests that no process answered, although one should have. */
function turnedAway(app) {
  return app.rejected.queue_full + app.rejected.queued_too_long + app.rejected.no_process;
}

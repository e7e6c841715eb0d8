// Formatting of numbers with units, to a few significant digits.

const NOTHING = "–";

function plural(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Formats an elapsed time; with tenths of a second below 10 seconds. */
function duration(milliseconds) {
  if (milliseconds < 10_000) return `${(Math.floor(milliseconds / 100) / 10).toFixed(1)} s`;
  return wholeDuration(milliseconds / 1000);
}

/** Formats an elapsed time in whole seconds, with its two largest units. */
function wholeDuration(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min ${whole % 60} s`;
  return `${whole} s`;
}

/** Formats a latency; in milliseconds below a second. */
function latency(seconds) {
  if (seconds === null) return NOTHING;
  const milliseconds = seconds * 1000;
  if (milliseconds < 0.995) return `${milliseconds.toFixed(2)} ms`;
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  return duration(milliseconds);
}

function rate(perSecond) {
  if (perSecond === null) return NOTHING;
  return perSecond < 9.95 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en");
}

function memory(bytes) {
  const mebibytes = bytes / 1048576;
  if (mebibytes < 9.95) return `${mebibytes.toFixed(1)} MiB`;
  if (mebibytes < 1024) return `${Math.round(mebibytes)} MiB`;
  return `${(mebibytes / 1024).toFixed(1)} GiB`;
}

function clock(date) {
  return date.toLocaleTimeString("en-GB");
}

/** Numbers as people read them. Pure; an unknown amount never reaches this file as a zero. */

/** A sum in USD: cents up to $100, whole dollars above; what is above zero is never shown as zero. */
export function dollars(usd: number): string {
  if (usd > 0 && usd < 0.01) {
    return '<$0.01';
  }
  return usd < 100 ? `$${usd.toFixed(2)}` : `$${grouped(Math.round(usd))}`;
}

/** A span of time in at most two units. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  const minutes = Math.floor(whole / 60);
  if (minutes < 10) {
    return `${minutes} min ${two(whole % 60)} s`;
  }
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 48) {
    return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${two(minutes % 60)} min`;
  }
  const rest = hours % 24;
  return rest === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${rest} h`;
}

/** A count in at most four characters or so: 950, 45.2k, 1.3M. */
export function count(value: number): string {
  if (value < 10_000) {
    return grouped(value);
  }
  // 999,950 and more would be rounded to 1000.0k.
  return value < 999_950 ? `${trimmed(value / 1000)}k` : `${trimmed(value / 1_000_000)}M`;
}

/** A fraction as percent with one decimal. */
export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)}%`;
}

/** A metric with four significant digits at most. */
export function metric(value: number): string {
  if (!Number.isFinite(value)) {
    return String(value);
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 100_000)) {
    return value.toExponential(1);
  }
  return String(Number(value.toPrecision(4)));
}

/** How full something is, between 0 and 1; `null` where there is no limit. */
export function share(used: number, limit: number | null): number | null {
  if (limit === null) {
    return null;
  }
  return limit <= 0 ? 1 : Math.min(1, Math.max(0, used / limit));
}

/** The last lines of a text that is still being written. */
export function lastLines(text: string, lines: number): string {
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

function trimmed(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '');
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

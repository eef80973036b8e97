// How fast a runner is: as its device says, or else by its last positions and their times. Knows no
// page.

const { PI, cos, hypot } = Math;

const MEASURED_MAX = 2.7e6; // m/s; nothing on Earth was ever faster
const LATELY_MS = 30_000; // of the positions that say how fast somebody is
const LATELY_MS_MIN = 4000; // of less, an error of some metres is all that there is to see
const PLAUSIBLE_MAX = 100; // m/s
const SECONDS_BELOW = 1e11; // a time under this is in seconds
const METRES_A_DEGREE = 111_195;

// A time that a device tells, in ms.
export const inMs = timestamp => timestamp < SECONDS_BELOW ? timestamp * 1000 : timestamp;

// Keeps of this position what its runner's speed may be told by.
export function keepLately(runner, { lat, lng, accuracy = 0, timestamp }) {
  if (timestamp === undefined) return runner.lately = [];
  const ms = inMs(timestamp);
  const isAfter = ms > (runner.lately.at(-1)?.ms ?? -Infinity);
  const before = isAfter ? runner.lately.filter(fix => ms - fix.ms <= LATELY_MS) : [];
  runner.lately = [...before, { lat, lng, accuracy, ms }];
}

const metresBetween = (a, b) =>
  METRES_A_DEGREE * hypot(b.lat - a.lat, (b.lng - a.lng) * cos(a.lat * PI / 180));

// Metres a second, and whether the device said so; `null` if nothing tells it.
export function speedOf({ fix, lately }) {
  if (fix?.speed !== undefined) return fix.speed <= MEASURED_MAX ? { speed: fix.speed, isTold: true } : null;
  const first = lately[0], last = lately.at(-1);
  if (!first || last.ms - first.ms < LATELY_MS_MIN) return null;
  // What lies within the errors is no way.
  if (metresBetween(first, last) < first.accuracy + last.accuracy) return null;
  const metres = lately.slice(1).reduce((sum, fix, index) => sum + metresBetween(lately[index], fix), 0);
  const speed = metres / (last.ms - first.ms) * 1000;
  return speed <= PLAUSIBLE_MAX ? { speed, isTold: false } : null;
}

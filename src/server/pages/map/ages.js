// How long ago something was, in words. Knows no page.

const { floor, max } = Math;

export function ageInWords({ heardAt }, now) {
  const seconds = max(now - heardAt, 0) / 1000, hours = floor(seconds / 3600);
  if (seconds < 60) return `${floor(seconds)} s`;
  if (hours < 1) return `${floor(seconds / 60)} min`;
  return hours < 48 ? `${hours} h ${floor(seconds / 60) % 60} min` : `${floor(hours / 24)} days`;
}

// The world as the unit square of Web Mercator (EPSG:3857), y down, and the arithmetic on it. Knows
// no page.

const { floor, log10, max, min, PI } = Math;

export const LATITUDE_MAX = 85.0511287798; // where the square ends
export const EQUATOR_M = 40075016.686;
export const TILE_PX = 256;

export const clamp = (value, least, most) => min(max(value, least), most);
export const wrap = (value, size) => ((value % size) + size) % size;

export const pxAt = zoom => TILE_PX * 2 ** zoom; // of the whole world
export const project = (lat, lng) => ({
  x: lng / 360 + 0.5,
  y: 0.5 - Math.asinh(Math.tan(lat * PI / 180)) / (2 * PI),
});
export const latitude = y => Math.atan(Math.sinh((0.5 - y) * 2 * PI)) * 180 / PI;
export const longitude = x => (wrap(x, 1) - 0.5) * 360;

// The greatest of 1, 2, 5, 10, 20… times a power of ten that is not above this.
export function roundStep(most) {
  const power = 10 ** floor(log10(most));
  return [5, 2, 1].find(step => step * power <= most) * power;
}

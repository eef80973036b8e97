// The ground: raster tiles where they can be had, above a plain grid of degrees. Both are drawn in
// light colours; the style sheet turns them dark.

import { clock, on } from './dom.js';
import { changed } from './frame.js';
import { flight, map, screenX, screenY, view, worldPx } from './view.js';
import { clamp, latitude, project, roundStep, wrap } from './world.js';

const { abs, ceil, floor, log10, max, min, round } = Math;

const TILE_ZOOM_MAX = 19;
const TILES_KEPT_MAX = 400;
const TILE_RETRY_MS = 30_000;
const STAND_IN_LEVELS = 5; // from how far above a coarse tile may fill in for a missing one
const GRID_PX = 90;

const template = map.dataset.tiles;
const tiles = new Map();

export function drawGround(sheet) {
  sheet.fillStyle = '#f4f3ef';
  sheet.fillRect(0, 0, view.width, view.height);
  const { x, y } = view, halfX = view.width / 2 / worldPx(), halfY = view.height / 2 / worldPx();
  const edges = { left: x - halfX, right: x + halfX, top: max(y - halfY, 0), bottom: min(y + halfY, 1) };
  drawGrid(sheet, edges);
  if (template) drawTiles(sheet, edges);
}

function drawTiles(sheet, { left, right, top, bottom }) {
  const zoom = clamp(round(view.zoom), 0, TILE_ZOOM_MAX);
  const count = 2 ** zoom;
  for (let y = floor(top * count); y < bottom * count; y += 1) {
    for (let x = floor(left * count); x < right * count; x += 1) {
      // Whole pixels, so that no seams show between tiles.
      const px = round(screenX(x / count)), py = round(screenY(y / count));
      const width = round(screenX((x + 1) / count)) - px, height = round(screenY((y + 1) / count)) - py;
      drawTile(sheet, zoom, wrap(x, count), y, [px, py, width, height]);
    }
  }
  if (tiles.size <= TILES_KEPT_MAX) return;
  const oldest = [...tiles].sort(([, a], [, b]) => a.usedAt - b.usedAt);
  for (const [key] of oldest.slice(0, TILES_KEPT_MAX / 4)) tiles.delete(key);
}

function drawTile(sheet, zoom, x, y, place) {
  // What a flight passes is gone before it would be here.
  if (!flight) loadTile(zoom, x, y);
  for (let up = 0; up <= min(STAND_IN_LEVELS, zoom); up += 1) {
    const tile = tiles.get(`${zoom - up}/${x >> up}/${y >> up}`);
    if (!tile?.isLoaded) continue;
    const size = tile.image.naturalWidth / 2 ** up, mask = 2 ** up - 1;
    return sheet.drawImage(tile.image, (x & mask) * size, (y & mask) * size, size, size, ...place);
  }
}

function loadTile(z, x, y) {
  const key = `${z}/${x}/${y}`, known = tiles.get(key), now = clock();
  if (known && now < known.retryAt) return known.usedAt = now;
  const image = new Image(), tile = { image, isLoaded: false, usedAt: now, retryAt: Infinity };
  on(image, 'load', () => { tile.isLoaded = true; changed('ground'); });
  on(image, 'error', () => { tile.retryAt = clock() + TILE_RETRY_MS; });
  image.src = template.replace('{z}', z).replace('{x}', x).replace('{y}', y);
  tiles.set(key, tile);
}

function drawGrid(sheet, { left, right, top, bottom }) {
  const step = min(roundStep(GRID_PX * 2 * 360 / worldPx()), 50);
  const digits = max(-floor(log10(step)), 0);
  const label = (degrees, ends, px, py) =>
    sheet.fillText(`${abs(degrees).toFixed(digits)}°${degrees < 0 ? ends[0] : ends[1]}`, px, py);
  sheet.strokeStyle = '#dcd9d0';
  sheet.fillStyle = '#77736a';
  sheet.font = '11px system-ui, sans-serif';
  sheet.lineWidth = 1;
  sheet.beginPath();
  sheet.textAlign = 'left';
  for (let i = ceil((left - 0.5) * 360 / step); i * step <= (right - 0.5) * 360; i += 1) {
    const px = round(screenX(i * step / 360 + 0.5)) + 0.5;
    sheet.moveTo(px, 0);
    sheet.lineTo(px, view.height);
    label(wrap(i * step + 180, 360) - 180, 'WE', px + 4, 13);
  }
  sheet.textAlign = 'right';
  for (let i = ceil(latitude(bottom) / step); i * step <= latitude(top); i += 1) {
    const py = round(screenY(project(i * step, 0).y)) + 0.5;
    sheet.moveTo(0, py);
    sheet.lineTo(view.width, py);
    if (py > 40) label(i * step, 'SN', view.width - 4, py - 4);
  }
  sheet.stroke();
}

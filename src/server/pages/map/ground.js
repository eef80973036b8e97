// The ground: raster tiles where they can be had, above a plain grid of degrees. Both are drawn in
// light colours, and turned dark for who prefers that.

import { palette } from './colours.js';
import { $, clock, on } from './dom.js';
import { changed } from './frame.js';
import { flight, map, screenX, screenY, view, worldPx } from './view.js';
import { clamp, latitude, project, roundStep, wrap } from './world.js';

const { abs, ceil, floor, log10, max, min, round } = Math;

const TILES_KEPT_MAX = 600;
const TILE_RETRY_MS = 30_000;
const STAND_IN_LEVELS = 5; // from how far above a coarse tile may fill in for a missing one
const GRID_PX = 90;
const VEIL_ALPHA = 0.125; // of white over a dark ground
const SHARP_FROM = 1.5; // pixels of the screen per pixel of the page

const { tiles: template, tilesZoom } = map.dataset;
const tiles = new Map();
const light = document.createElement('canvas').getContext('2d', { alpha: false }); // the ground, before it is dark

export function drawGround(sheet) {
  sheet.fillStyle = '#f4f3ef';
  sheet.fillRect(0, 0, view.width, view.height);
  const { x, y } = view, halfX = view.width / 2 / worldPx(), halfY = view.height / 2 / worldPx();
  const edges = { left: x - halfX, right: x + halfX, top: max(y - halfY, 0), bottom: min(y + halfY, 1) };
  drawGrid(sheet, edges);
  if (template) drawTiles(sheet, edges);
  if (palette.isDark) darken(sheet);
}

// Turns lightness round and keeps the hues. A filter of the style sheet would do so in every frame in
// which anything moves.
function darken(sheet) {
  const { canvas } = sheet, { width, height } = view;
  if (light.canvas.width !== canvas.width) light.canvas.width = canvas.width;
  if (light.canvas.height !== canvas.height) light.canvas.height = canvas.height;
  light.drawImage(canvas, 0, 0);
  sheet.save();
  sheet.globalCompositeOperation = 'difference';
  sheet.fillStyle = '#fff';
  sheet.fillRect(0, 0, width, height);
  sheet.globalCompositeOperation = 'color';
  sheet.drawImage(light.canvas, 0, 0, width, height);
  // Black is a hole in the page, and hard on the eyes.
  Object.assign(sheet, { globalCompositeOperation: 'source-over', globalAlpha: VEIL_ALPHA });
  sheet.fillRect(0, 0, width, height);
  sheet.restore();
}

function drawTiles(sheet, { left, right, top, bottom }) {
  // Fine screens get tiles of the next zoom, at half their size. Above the last zoom they are scaled up.
  const zoom = clamp(round(view.zoom) + (view.dpr > SHARP_FROM ? 1 : 0), 0, Number(tilesZoom));
  const count = 2 ** zoom, wanted = new Set();
  for (let y = floor(top * count); y < bottom * count; y += 1) {
    for (let x = floor(left * count); x < right * count; x += 1) {
      // Whole pixels, so that no seams show between tiles.
      const px = round(screenX(x / count)), py = round(screenY(y / count));
      const width = round(screenX((x + 1) / count)) - px, height = round(screenY((y + 1) / count)) - py;
      wanted.add(keyOf(zoom, wrap(x, count), y));
      drawTile(sheet, zoom, wrap(x, count), y, [px, py, width, height]);
    }
  }
  forgetOthers(wanted);
  sayWhatFails(wanted);
}

function forgetOthers(wanted) {
  for (const [key, { image, state }] of tiles) {
    if (state !== 'loading' || wanted.has(key)) continue;
    image.removeAttribute('src'); // ends the load
    tiles.delete(key);
  }
  if (tiles.size <= TILES_KEPT_MAX) return;
  const oldest = [...tiles].sort(([, a], [, b]) => a.usedAt - b.usedAt);
  for (const [key] of oldest.slice(0, TILES_KEPT_MAX / 4)) tiles.delete(key);
}

function drawTile(sheet, zoom, x, y, place) {
  // What a zoom passes is gone before it would be here.
  if (!flight || flight.from.zoom === flight.to.zoom) loadTile(zoom, x, y);
  for (let up = 0; up <= min(STAND_IN_LEVELS, zoom); up += 1) {
    const tile = tiles.get(keyOf(zoom - up, x >> up, y >> up));
    if (tile?.state !== 'loaded') continue;
    const size = tile.image.naturalWidth / 2 ** up, mask = 2 ** up - 1;
    return sheet.drawImage(tile.image, (x & mask) * size, (y & mask) * size, size, size, ...place);
  }
}

function loadTile(z, x, y) {
  const key = keyOf(z, x, y), known = tiles.get(key), now = clock();
  if (known && now < known.retryAt) return known.usedAt = now;
  const image = new Image(), tile = { image, state: 'loading', usedAt: now, retryAt: Infinity };
  on(image, 'load', () => { tile.state = 'loaded'; changed('ground'); });
  on(image, 'error', () => {
    Object.assign(tile, { state: 'failed', retryAt: clock() + TILE_RETRY_MS });
    changed('ground');
    setTimeout(changed, TILE_RETRY_MS, 'ground');
  });
  image.src = template.replace('{z}', z).replace('{x}', x).replace('{y}', y);
  tiles.set(key, tile);
}

const keyOf = (z, x, y) => `${z}/${x}/${y}`;

// One line, while none of the tiles in view can be had.
function sayWhatFails(wanted) {
  const states = new Set([...wanted].map(key => tiles.get(key)?.state));
  if (states.has('loaded')) $('no-tiles').hidden = true;
  else if (states.has('failed') && !states.has('loading')) $('no-tiles').hidden = false;
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
    if (px > $('tools').offsetWidth) label(wrap(i * step + 180, 360) - 180, 'WE', px + 4, 13);
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

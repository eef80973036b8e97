// The ground: raster tiles where they can be had, above a plain grid of degrees. Both are drawn in
// light colours; the style sheet turns them dark.

const TILE_ZOOM_MAX = 19;
const TILES_KEPT_MAX = 400;
const TILE_RETRY_MS = 30_000;
const LOOK_UP_LEVELS = 5; // from how far above a coarse tile may stand in for one that is missing

const template = map.dataset.tiles;
const tiles = new Map();

function drawGround() {
  const sheet = sheets.ground;
  sheet.fillStyle = '#f4f3ef';
  sheet.fillRect(0, 0, view.width, view.height);
  drawGrid(sheet);
  if (!template) return;
  const zoom = clamp(Math.round(view.zoom), 0, TILE_ZOOM_MAX);
  const count = 2 ** zoom;
  const size = worldPx() / count;
  const left = Math.floor((view.x - view.width / 2 / worldPx()) * count);
  const right = Math.floor((view.x + view.width / 2 / worldPx()) * count);
  const top = Math.max(Math.floor((view.y - view.height / 2 / worldPx()) * count), 0);
  const bottom = Math.min(Math.floor((view.y + view.height / 2 / worldPx()) * count), count - 1);
  for (let y = top; y <= bottom; y += 1) {
    for (let x = left; x <= right; x += 1) {
      // Whole pixels, so that no seams show between tiles.
      const px = Math.round(screenX(x / count)), py = Math.round(screenY(y / count));
      const width = Math.round(screenX((x + 1) / count)) - px, height = Math.round(screenY((y + 1) / count)) - py;
      drawTile(sheet, zoom, ((x % count) + count) % count, y, [px, py, width, height]);
    }
  }
  forgetTiles();
}

function drawTile(sheet, zoom, x, y, place) {
  if (loadTile(zoom, x, y)) return sheet.drawImage(tiles.get(`${zoom}/${x}/${y}`).image, ...place);
  for (let up = 1; up <= Math.min(LOOK_UP_LEVELS, zoom); up += 1) {
    const tile = tiles.get(`${zoom - up}/${x >> up}/${y >> up}`);
    if (!tile?.isLoaded) continue;
    const part = tile.image.naturalWidth / 2 ** up;
    const mask = 2 ** up - 1;
    return sheet.drawImage(tile.image, (x & mask) * part, (y & mask) * part, part, part, ...place);
  }
}

// Whether the tile is there; if it is not, it is asked for.
function loadTile(zoom, x, y) {
  const key = `${zoom}/${x}/${y}`;
  const known = tiles.get(key);
  const now = performance.now();
  if (known && !(known.failedAt && now - known.failedAt > TILE_RETRY_MS)) {
    known.usedAt = now;
    return known.isLoaded;
  }
  const tile = { image: new Image(), isLoaded: false, failedAt: 0, usedAt: now };
  tile.image.onload = () => { tile.isLoaded = true; changed('ground'); };
  tile.image.onerror = () => { tile.failedAt = performance.now(); };
  tile.image.src = template.replaceAll('{z}', zoom).replaceAll('{x}', x).replaceAll('{y}', y);
  tiles.set(key, tile);
  return false;
}

function forgetTiles() {
  if (tiles.size <= TILES_KEPT_MAX) return;
  const oldest = [...tiles].sort(([, a], [, b]) => a.usedAt - b.usedAt);
  for (const [key] of oldest.slice(0, TILES_KEPT_MAX / 4)) tiles.delete(key);
}

const GRID_STEPS = [60, 30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];

function drawGrid(sheet) {
  const perDegree = worldPx() / 360;
  const step = GRID_STEPS.findLast(degrees => degrees * perDegree >= 90) ?? 60;
  const digits = Math.max(-Math.floor(Math.log10(step)), 0);
  const halfWidth = view.width / 2 / worldPx(), halfHeight = view.height / 2 / worldPx();
  const south = latitude(Math.min(view.y + halfHeight, 1)), north = latitude(Math.max(view.y - halfHeight, 0));
  sheet.strokeStyle = '#dcd9d0';
  sheet.fillStyle = '#77736a';
  sheet.font = '11px system-ui, sans-serif';
  sheet.textBaseline = 'alphabetic';
  sheet.lineWidth = 1;
  sheet.beginPath();
  const from = Math.ceil((view.x - halfWidth - 0.5) * 360 / step);
  for (let i = from; i * step <= (view.x + halfWidth - 0.5) * 360; i += 1) {
    const px = Math.round(screenX(i * step / 360 + 0.5)) + 0.5;
    sheet.moveTo(px, 0);
    sheet.lineTo(px, view.height);
    const lng = ((i * step + 180) % 360 + 360) % 360 - 180;
    sheet.fillText(`${Math.abs(lng).toFixed(digits)}° ${lng < 0 ? 'W' : 'E'}`, px + 4, 13);
  }
  for (let i = Math.ceil(south / step); i * step <= north; i += 1) {
    const py = Math.round(screenY(project(i * step, 0).y)) + 0.5;
    sheet.moveTo(0, py);
    sheet.lineTo(view.width, py);
    sheet.fillText(`${Math.abs(i * step).toFixed(digits)}° ${i < 0 ? 'S' : 'N'}`, 4, py - 4);
  }
  sheet.stroke();
}

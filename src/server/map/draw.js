// Three sheets on top of each other: the ground (tiles, or a grid), the trails, the dots.

const TAG_FONT = '600 12px system-ui, sans-serif';
const DOT_PX = 7;
const TAGS_EVERY_MS = 500;

const sheets = Object.fromEntries(['ground', 'trails', 'dots'].map(id => [id, $(id).getContext('2d')]));
const dirty = { view: true, ground: true, trails: true, dots: true };
let frame = 0;
let selected = null;
let tags = { drawnAt: -Infinity, zoom: 0, runners: new Set() };
let ink, paper, strength;

function changed(what) {
  dirty[what] = true;
  frame ||= requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  const now = performance.now();
  if (flight) flyOn(now);
  for (const runner of runners.values()) if (place(runner, now)) dirty.dots = true;
  const centred = runners.get(keeping.id);
  if (centred && isDrawn(centred) && !flight && (centred.x - turns(centred.x) !== view.x || centred.y !== view.y)) {
    look(centred.x, centred.y, view.zoom);
  }
  const { view: hasMoved, ground, trails, dots } = dirty;
  Object.assign(dirty, { view: false, ground: false, trails: false, dots: false });
  if (hasMoved) {
    drawScale();
    // Where the map is, for people who read the page and for programs that do.
    Object.assign(map.dataset, {
      lat: latitude(view.y).toFixed(6), lng: longitude(view.x).toFixed(6), zoom: view.zoom.toFixed(4),
    });
  }
  if (hasMoved || ground) drawGround();
  if (hasMoved || trails) drawTrails();
  if (hasMoved || dots || trails) drawDots(now);
  if (flight || [...runners.values()].some(({ path }) => path.length > 0)) changed('dots');
}

function blank(sheet) {
  sheet.clearRect(0, 0, view.width, view.height);
  return sheet;
}

function drawTrails() {
  const sheet = blank(sheets.trails);
  const px = worldPx();
  sheet.lineWidth = 3;
  sheet.lineJoin = sheet.lineCap = 'round';
  for (const runner of runners.values()) {
    if (!isDrawn(runner) || runner.trail.length === 0) continue;
    const left = view.width / 2 - (view.x + turns(runner.x)) * px;
    const top = view.height / 2 - view.y * px;
    sheet.strokeStyle = colour(runner);
    sheet.globalAlpha = 0.45;
    sheet.beginPath();
    let lastX = Infinity, lastY = Infinity;
    for (const { x, y } of runner.trail) {
      const atX = left + x * px, atY = top + y * px;
      if (Math.abs(atX - lastX) + Math.abs(atY - lastY) < 2) continue;
      sheet.lineTo(atX, atY);
      lastX = atX;
      lastY = atY;
    }
    sheet.stroke();
  }
}

const colour = ({ hue }) => `hsl(${hue} ${strength})`;

function drawDots(now) {
  const sheet = blank(sheets.dots);
  const shown = [];
  for (const runner of runners.values()) {
    if (!isDrawn(runner)) continue;
    const px = screenX(runner.x - turns(runner.x)), py = screenY(runner.y);
    if (px < -80 || py < -20 || px > view.width + 20 || py > view.height + 20) continue;
    shown.push({ runner, px, py });
  }
  for (const spot of shown) drawTrailEnd(sheet, spot);
  for (const spot of shown) drawDot(sheet, spot);
  if (now - tags.drawnAt > TAGS_EVERY_MS || tags.zoom !== view.zoom) chooseTags(shown, now);
  sheet.font = TAG_FONT;
  sheet.textBaseline = 'middle';
  for (const spot of shown) if (tags.runners.has(spot.runner)) drawTag(sheet, spot, now);
  sheet.globalAlpha = 1;
}

// From the last point of the trail to the dot, which is still on its way.
function drawTrailEnd(sheet, { runner, px, py }) {
  const last = runner.trail.at(-1);
  if (!last || (last.x === runner.x && last.y === runner.y)) return;
  sheet.globalAlpha = 0.45;
  sheet.lineWidth = 3;
  sheet.strokeStyle = colour(runner);
  sheet.beginPath();
  sheet.moveTo(screenX(last.x - turns(runner.x)), screenY(last.y));
  sheet.lineTo(px, py);
  sheet.stroke();
}

// Live: solid. Stale: a faded ring.
function drawDot(sheet, { runner, px, py }) {
  const isLive = shownState(runner) === 'live';
  const isChosen = runner.id === selected || runner.id === keeping.id;
  const { heading } = runner.fix;
  sheet.globalAlpha = isLive ? 1 : 0.6;
  sheet.fillStyle = colour(runner);
  sheet.strokeStyle = paper;
  sheet.lineWidth = 2;
  if (heading !== undefined) {
    const turn = heading * Math.PI / 180;
    sheet.beginPath();
    for (const [angle, far] of [[0, 2.3], [0.55, 1.35], [-0.55, 1.35]]) {
      sheet.lineTo(px + Math.sin(turn + angle) * DOT_PX * far, py - Math.cos(turn + angle) * DOT_PX * far);
    }
    sheet.closePath();
    sheet.stroke();
    sheet.fill();
  }
  sheet.beginPath();
  sheet.arc(px, py, DOT_PX, 0, 7);
  if (isLive) {
    sheet.fill();
    sheet.stroke();
  } else {
    sheet.fillStyle = paper;
    sheet.fill();
    sheet.lineWidth = 3;
    sheet.strokeStyle = colour(runner);
    sheet.stroke();
  }
  if (isChosen) {
    sheet.beginPath();
    sheet.arc(px, py, DOT_PX + 5, 0, 7);
    sheet.globalAlpha = 1;
    sheet.lineWidth = 2;
    sheet.strokeStyle = ink;
    sheet.stroke();
  }
}

// Tags that would lie on each other are left out; who had one keeps it if that can be.
function chooseTags(shown, now) {
  const before = tags.runners;
  tags = { drawnAt: now, zoom: view.zoom, runners: new Set() };
  const rank = ({ runner }) =>
    runner.id === selected || runner.id === keeping.id ? 0 : before.has(runner) ? 1 : 2;
  const taken = new Set();
  for (const spot of [...shown].sort((a, b) => rank(a) - rank(b))) {
    const cells = [];
    const row = Math.floor(spot.py / 20);
    for (let x = 0; x <= 2; x += 1) cells.push(`${Math.floor(spot.px / 40) + x} ${row}`);
    if (cells.some(cell => taken.has(cell))) continue;
    for (const cell of cells) taken.add(cell);
    tags.runners.add(spot.runner);
  }
}

function drawTag(sheet, { runner, px, py }, now) {
  const isLive = shownState(runner) === 'live';
  const name = runner.id.length > 24 ? `${runner.id.slice(0, 23)}…` : runner.id;
  const words = isLive ? name : `${name} · ${ageInWords((now - runner.heardAt) / 1000)}`;
  if (runner.tag?.words !== words) runner.tag = { words, width: sheet.measureText(words).width };
  const left = px + DOT_PX + 5;
  sheet.globalAlpha = isLive ? 0.85 : 0.6;
  sheet.fillStyle = paper;
  sheet.fillRect(left, py - 9, runner.tag.width + 8, 18);
  sheet.globalAlpha = isLive ? 1 : 0.8;
  sheet.fillStyle = ink;
  sheet.fillText(words, left + 4, py + 1);
}

// Selects the dot at these pixels, or nobody.
function tap({ x, y }) {
  let best = { id: null, away: 22 };
  for (const runner of runners.values()) {
    if (!isDrawn(runner)) continue;
    const away = Math.hypot(screenX(runner.x - turns(runner.x)) - x, screenY(runner.y) - y);
    if (away < best.away) best = { id: runner.id, away };
  }
  select(best.id);
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  [ink, paper, strength] = ['--ink', '--paper', '--strength'].map(name => style.getPropertyValue(name).trim());
  changed('view');
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', readColours);

new ResizeObserver(() => {
  const dpr = Math.min(devicePixelRatio, 2);
  Object.assign(view, { width: map.clientWidth, height: map.clientHeight });
  for (const sheet of Object.values(sheets)) {
    sheet.canvas.width = view.width * dpr;
    sheet.canvas.height = view.height * dpr;
    sheet.scale(dpr, dpr);
  }
  changed('view');
}).observe(map);

// Where labels go: beside their dots, on nothing that is there already. Knows no page and no names.

const { floor, max, min } = Math;

const CELL_PX = 64;
const AWAY_PX = 20; // from the middle of a dot to its label: more than a dot reaches
const SIDES = ['right', 'left', 'above', 'below'];

// Where a label lies at a side of its dot; above and below it may be moved aside to be on the sheet.
export const rectangle = ({ px, py, width, height }, side, sheet) => ({
  left: side === 'right' ? px + AWAY_PX : side === 'left' ? px - AWAY_PX - width
    : max(min(px - width / 2, sheet.width - width), 0),
  top: side === 'above' ? py - AWAY_PX - height : side === 'below' ? py + AWAY_PX : py - height / 2,
  width, height,
});

// Rectangles, found by where they lie.
function newIndex() {
  const cells = new Map();
  const cellsOf = ({ left, top, width, height }) => {
    const keys = [];
    for (let x = floor(left / CELL_PX); x * CELL_PX < left + width; x += 1) {
      for (let y = floor(top / CELL_PX); y * CELL_PX < top + height; y += 1) keys.push(x * 4096 + y);
    }
    return keys;
  };
  return {
    add(rect) {
      for (const key of cellsOf(rect)) {
        const cell = cells.get(key);
        if (cell) cell.push(rect);
        else cells.set(key, [rect]);
      }
    },
    countUnder: rect => cellsOf(rect).reduce(
      (sum, key) => sum + (cells.get(key)?.filter(other => isOver(rect, other)).length ?? 0), 0),
  };
}

export const isOver = (a, b) =>
  a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

// The sides that labels go to, as many as fit, by their spots. A spot has the middle of its dot, the
// size of its label, the side where that is already, and whether it must be shown; those that come
// first are placed first. What is in `taken`, or leaves the sheet, has no label over it.
export function placeLabels(spots, taken, sheet) {
  const index = newIndex(), sides = new Map();
  for (const rect of taken) index.add(rect);
  const isWithin = ({ left, top, width, height }) =>
    left >= 0 && top >= 0 && left + width <= sheet.width && top + height <= sheet.height;
  for (const spot of spots) {
    const order = spot.side ? [spot.side, ...SIDES.filter(side => side !== spot.side)] : SIDES;
    const cost = side => {
      const rect = rectangle(spot, side, sheet);
      return isWithin(rect) ? index.countUnder(rect) : Infinity;
    };
    const fits = side => cost(side) === 0, better = (a, b) => cost(b) < cost(a) ? b : a;
    const side = order.find(fits) ?? (spot.isNeeded ? order.reduce(better) : null);
    if (!side) continue;
    sides.set(spot, side);
    index.add(rectangle(spot, side, sheet));
  }
  return sides;
}

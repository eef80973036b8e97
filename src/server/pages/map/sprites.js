// Small pictures that are drawn once and shown in many frames: shapes and words cost more than copies.

import { view } from './view.js';

const { ceil, round } = Math;

// A picture of what lies in a box, with what `paint` draws on a sheet of the same origin. It takes the
// place of an old one of that size, which comes cheaper than a new one.
export function sprite({ left, top, width, height }, paint, old) {
  const { dpr } = view, columns = ceil(width * dpr), rows = ceil(height * dpr);
  const isRoom = old?.image.width === columns && old.image.height === rows;
  const image = isRoom ? old.image : document.createElement('canvas');
  const sheet = image.getContext('2d');
  if (isRoom) {
    sheet.resetTransform();
    sheet.clearRect(0, 0, columns, rows);
  } else Object.assign(image, { width: columns, height: rows });
  sheet.setTransform(dpr, 0, 0, dpr, -left * dpr, -top * dpr);
  paint(sheet);
  return { image, left, top, width: columns / dpr, height: rows / dpr };
}

// Shows what lies in a box of one, with its origin at this point.
export function stamp(sheet, { image, left, top }, box, px, py) {
  const { dpr } = view, { width, height } = box;
  sheet.drawImage(image, (box.left - left) * dpr, (box.top - top) * dpr, width * dpr, height * dpr,
    px + box.left, py + box.top, width, height);
}

// The pixel of the screen at which words are sharp.
export const sharp = px => round(px * view.dpr) / view.dpr;

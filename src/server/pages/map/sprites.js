// Small pictures that are drawn once and shown in many frames: shapes and words cost more than copies.

import { view } from './view.js';

const { ceil, round } = Math;

// A picture of at least this size, with what `paint` draws on a sheet whose origin is its middle. It
// takes the place of an old one of that size, which comes cheaper than a new one.
export function sprite(widthPx, heightPx, paint, old) {
  const { dpr } = view, width = ceil(widthPx * dpr) / dpr, height = ceil(heightPx * dpr) / dpr;
  const isRoom = old?.width === width && old.height === height && old.dpr === dpr;
  const picture = isRoom ? old : newPicture(width, height, dpr);
  picture.sheet.clearRect(-width / 2, -height / 2, width, height);
  paint(picture.sheet);
  return picture;
}

function newPicture(width, height, dpr) {
  const image = document.createElement('canvas');
  Object.assign(image, { width: round(width * dpr), height: round(height * dpr) });
  const sheet = image.getContext('2d');
  sheet.scale(dpr, dpr);
  sheet.translate(width / 2, height / 2);
  return { image, sheet, width, height, dpr };
}

// Shows one around a point.
export function stamp(sheet, { width, height, image }, px, py) {
  sheet.drawImage(image, px - width / 2, py - height / 2, width, height);
}

// Shows one on whole pixels of the screen, so that words stay sharp.
export function stampSharply(sheet, { width, height, image }, left, top) {
  const { dpr } = view;
  sheet.drawImage(image, round(left * dpr) / dpr, round(top * dpr) / dpr, width, height);
}

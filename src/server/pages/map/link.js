// The connection of this page, how it is, and what was asked for over it.

import { Spectate } from '../spectate.js';
import { token } from './token.js';

const TRAIL_POINTS = 240; // as many as a server keeps, unless it is told otherwise

export const server =
  new Spectate(location.origin + location.pathname, { presence: true, trail: TRAIL_POINTS, token });

export const link = {
  isOpen: false,
  isStopped: false,
  mayHelpToTry: true, // once it has stopped
  retryAt: null,
  heardAt: null, // when a runner was heard of last
  lostAt: null, // since when what is shown is old
  unsettled: 0, // follows that the server may not have carried out yet, by the message
};

// Everyone, as one follow: whether the link means it, and says so, and whether it is asked for and was not refused.
export const everyone = { isWished: false, isSaid: false, isFollowed: false };

// Follows these, and knows once that is done: what is refused by then may be one of them.
export function followOver(ids) {
  if (ids.length === 0) return;
  server.follow(ids);
  return settle();
}

export async function settle() {
  link.unsettled += 1;
  await server.ping();
  link.unsettled -= 1;
}

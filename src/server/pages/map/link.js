// The connection of this page, and how it is. Knows not what is said over it.

import { Spectate } from '../spectate.js';
import { token } from './token.js';

export const server = new Spectate(location.origin + location.pathname, { presence: true, token });

export const link = {
  isOpen: false,
  isStopped: false,
  retryAt: null,
  unsettled: 0, // follows that the server may not have carried out yet, by the message
};

// Follows these, and knows once that is done: what is refused by then may be one of them.
export function followOver(ids) {
  if (ids.length === 0) return;
  server.follow(ids);
  settle();
}

export async function settle() {
  link.unsettled += 1;
  await server.ping();
  link.unsettled -= 1;
}

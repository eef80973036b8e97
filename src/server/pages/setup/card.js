// What the fragment of the page's address says of whom it is for: `#token=…` as on the cards, or
// `#id=…` on a server without keys. Pure; the server alone judges whether a token is good.

import { isId } from '../map/ids.js';

// Fragment to `{ token, id, name, endsAt }`, without a token the `id` alone, or `{}`; with
// `isUnreadable` where there is a token that nobody can read.
export function readCard(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ''));
  const token = given.get('token');
  if (token) return readToken(token) ?? { isUnreadable: true };
  const id = given.get('id') ?? '';
  return isId(id) ? { id } : {};
}

function readToken(token) {
  try {
    const [, claims, signature, ...more] = token.split('.');
    if (!signature || more.length) return null;
    const bytes = Uint8Array.from(atob(claims.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0));
    const json = new TextDecoder('utf-8', { fatal: true }).decode(bytes), { sub, exp, name } = JSON.parse(json);
    // An integer may have more digits than a number can hold.
    const id = typeof sub === 'number' ? /"sub"\s*:\s*(-?\d+)/.exec(json)[1] : sub;
    if (typeof id !== 'string' || !isId(id) || typeof exp !== 'number') return null;
    encodeURIComponent(id); // throws where a surrogate stands alone
    return { token, id, name: typeof name === 'string' ? name : null, endsAt: exp * 1000 };
  } catch {
    return null;
  }
}

// The token that a link gave to this tab.

export let token = readToken();

// A link's `#token=…` goes out of sight at once, and lives as long as this tab: a reload works,
// and neither a bookmark nor a copied address gives it away. What else is there stays.
function readToken() {
  const pairs = location.hash.slice(1).split('&');
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  const rest = pairs.filter(pair => !new URLSearchParams(pair).has('token')).join('&');
  if (given) history.replaceState(null, '', location.pathname + location.search + (rest && `#${rest}`));
  try {
    if (given) sessionStorage.setItem('token', given);
    return sessionStorage.getItem('token');
  } catch {
    return given; // without storage it lives as long as the page
  }
}

// Takes the token of a link that was opened in this tab; `false` if there is none, or the same.
export function renewToken() {
  const renewed = readToken();
  if (!renewed || renewed === token) return false;
  token = renewed;
  return true;
}

export function forgetToken() {
  token = null;
  try { sessionStorage.removeItem('token'); } catch { /* nor was it stored */ }
}

// Who the token says one is; the server alone judges whether it is good.
export function subject() {
  try {
    const claims = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(claims), c => c.charCodeAt(0));
    const json = new TextDecoder().decode(bytes), { sub } = JSON.parse(json);
    // An integer may have more digits than a number can hold.
    return typeof sub === 'number' ? /"sub"\s*:\s*(-?\d+)/.exec(json)[1] : sub;
  } catch {
    return null;
  }
}

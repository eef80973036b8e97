// User ids, as links hold them and people type them. Knows no page.

export function isId(id) {
  const { length } = new TextEncoder().encode(id);
  return length > 0 && length <= 64 && !/[\u0000-\u001f\u007f-\u009f]/.test(id);
}

// Whom `follow=` in the query or the fragment of a link names. Commas stand between ids, and one
// inside of an id is written %2C; spaces are theirs. What is no id is left out. A bare * is everyone,
// and %2A the user who is called so.
export function linked(parameters) {
  const values = parameters.replace(/^[?#]/, '').split('&')
    .filter(pair => pair.startsWith('follow='))
    .map(pair => pair.slice('follow='.length));
  const written = values.flatMap(value => value.split(','));
  const ids = written.filter(id => id !== '*').map(id => new URLSearchParams(`id=${id}`).get('id')).filter(isId);
  return { ids, isEveryone: written.includes('*'), isThere: values.length > 0 };
}

export const writtenId = id => id === '*' ? '%2A' : encodeURIComponent(id);

// People type spaces around ids, and between numbers a space will do.
export const typedIds = text => text.split(',')
  .flatMap(part => /^\s*\d+(\s+\d+)+\s*$/.test(part) ? part.trim().split(/\s+/) : part.trim())
  .filter(isId);

// User ids, as links hold them and people type them. Knows no page.

export function isId(id) {
  const { length } = new TextEncoder().encode(id);
  return length > 0 && length <= 64 && !/[\u0000-\u001f\u007f-\u009f]/.test(id);
}

// The ids of `follow=` in the query or the fragment of a link. Commas stand between them, and one
// inside of an id is written %2C; spaces are theirs. What is no id is left out.
export const linkedIds = parameters => parameters.replace(/^[?#]/, '').split('&')
  .filter(pair => pair.startsWith('follow='))
  .flatMap(pair => pair.slice('follow='.length).split(','))
  .map(id => new URLSearchParams(`id=${id}`).get('id'))
  .filter(isId);

// People type spaces around ids, and between numbers a space will do.
export const typedIds = text => text.split(',')
  .flatMap(part => /^\s*\d+(\s+\d+)+\s*$/.test(part) ? part.trim().split(/\s+/) : part.trim())
  .filter(isId);

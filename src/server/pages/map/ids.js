// User ids, as links hold them and people type them. Knows no page.

export function isId(id) {
  const { length } = new TextEncoder().encode(id);
  return length > 0 && length <= 64 && !/[\u0000-\u001f\u007f-\u009f]/.test(id);
}

// Ids of a link stand between commas, and spaces are theirs. What is no id is left out.
export const linkedIds = text => text.split(',').filter(isId);

// People type spaces around ids, and between numbers a space will do.
export const typedIds = text => text.split(',')
  .flatMap(part => /^\s*\d+(\s+\d+)+\s*$/.test(part) ? part.trim().split(/\s+/) : part.trim())
  .filter(isId);

// User ids as people type them. Knows no page.

export function isId(id) {
  const { length } = new TextEncoder().encode(id);
  return length > 0 && length <= 64 && !/[\u0000-\u001f\u007f-\u009f]/.test(id);
}

// Ids stand between commas; between numbers a space will do. What is no id is left out.
export const idsFrom = text => text.split(',')
  .flatMap(part => /^\s*\d+(\s+\d+)+\s*$/.test(part) ? part.trim().split(/\s+/) : part.trim())
  .filter(isId);

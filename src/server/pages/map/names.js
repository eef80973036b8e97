// What a runner is called in the words of the page. Knows no page.

export const called = ({ id, name }) => name ?? id;

// A name in the middle of other words, for where no element keeps it apart: no mark of direction
// in it reaches beyond it (Unicode Standard Annex 9, 2.4). Its own marks that begin or end anything,
// or a paragraph, would.
export const isolated = text => `\u2068${text.replace(/[\u202a-\u202e\u2066-\u2069]/g, '').replaceAll('\u2029', ' ')}\u2069`;

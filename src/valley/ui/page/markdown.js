// Shows an answer: paragraphs, lists, bold, italics and code as elements of the page. Whatever a model writes
// stays text: nothing is parsed as HTML, and there are no links or pictures that could reach out.

const INLINE = /(`+)([^`]+)\1|\*\*(\S(?:.*?\S)?)\*\*|__(\S(?:.*?\S)?)__|(?<![\w*])\*(?!\s)([^*\n]*[^*\s])\*(?!\w)/u;
const ITEM = /^\s{0,3}(?:[-*+•]|(\d{1,3})[.)])\s+(.*)$/;
const FENCE = /^\s{0,3}```/;
const HEADING = /^\s{0,3}#{1,6}\s+(.*?)\s*#*$/;

/** Make the elements of an answer; `leaf(text)` gives the nodes for a stretch of plain text. */
export function rendered(text, leaf) {
  const out = document.createDocumentFragment();
  const lines = text.split("\n");
  while (lines.length) {
    const line = lines[0];
    if (!line.trim()) lines.shift();
    else if (FENCE.test(line)) out.append(code(lines));
    else if (HEADING.test(line)) out.append(element("p", element("strong", ...inline(HEADING.exec(lines.shift())[1], leaf))));
    else if (ITEM.test(line)) out.append(list(lines, leaf));
    else out.append(paragraph(lines, leaf));
  }
  return out;
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function code(lines) {
  lines.shift();
  const held = [];
  while (lines.length && !FENCE.test(lines[0])) held.push(lines.shift());
  lines.shift();
  return element("pre", element("code", held.join("\n")));
}

function list(lines, leaf) {
  const number = ITEM.exec(lines[0])[1];
  const made = document.createElement(number === undefined ? "ul" : "ol");
  if (number !== undefined) made.start = Number(number);
  for (let item; lines.length && (item = ITEM.exec(lines[0])) && (item[1] === undefined) === (number === undefined);) {
    made.append(element("li", ...inline(item[2], leaf)));
    lines.shift();
  }
  return made;
}

function paragraph(lines, leaf) {
  const made = document.createElement("p");
  while (lines.length && lines[0].trim() && !FENCE.test(lines[0]) && !HEADING.test(lines[0]) && !ITEM.test(lines[0])) {
    if (made.childNodes.length) made.append(document.createElement("br"));
    made.append(...inline(lines.shift(), leaf));
  }
  return made;
}

function inline(text, leaf) {
  const match = INLINE.exec(text);
  if (!match) return leaf(text);
  const [whole, , coded, bold, alsoBold, italic] = match;
  const before = leaf(text.slice(0, match.index));
  const rest = inline(text.slice(match.index + whole.length), leaf);
  if (coded !== undefined) return [...before, element("code", coded), ...rest];
  const strong = bold ?? alsoBold;
  const name = strong === undefined ? "em" : "strong";
  return [...before, element(name, ...inline(strong ?? italic, leaf)), ...rest];
}

// A little Markdown into DOM nodes. Never into HTML text: an answer may contain anything.

const INLINE = /(`[^`\n]+`)|(\*\*[^*\n]+\*\*)|(\[[^\]\n]+\]\(https?:\/\/[^\s)]+\))|(https?:\/\/[^\s<>"')\]]+)/g;

export function render(target, source) {
  target.replaceChildren(...blocks(source));
}

function* blocks(source) {
  const parts = source.split(/^```[^\n]*\n?/m);   // odd parts are code; an open fence runs to the end
  for (const [number, part] of parts.entries()) {
    if (number % 2) {
      const pre = element("pre");
      pre.tabIndex = 0;
      pre.append(element("code", part.replace(/\n$/, "")));
      yield pre;
    } else {
      for (const paragraph of part.split(/\n{2,}/)) if (paragraph.trim()) yield block(paragraph.trim());
    }
  }
}

function block(paragraph) {
  const lines = paragraph.split("\n");
  for (const [name, mark] of [["ul", /^\s*[-*] +/], ["ol", /^\s*\d+[.)] +/]]) {
    if (lines.every((row) => mark.test(row))) {
      const list = element(name);
      list.append(...lines.map((row) => withInline(element("li"), row.replace(mark, ""))));
      return list;
    }
  }
  const heading = lines.length === 1 && /^#{1,6} +(.*)/.exec(paragraph);
  return heading ? withInline(element("h3"), heading[1]) : withInline(element("p"), paragraph);
}

function withInline(target, words) {
  let at = 0;
  for (const found of words.matchAll(INLINE)) {
    target.append(words.slice(at, found.index));
    const [all, code, bold, link] = found;
    if (code) target.append(element("code", code.slice(1, -1)));
    else if (bold) target.append(element("strong", bold.slice(2, -2)));
    else target.append(anchor(...(link ? /^\[(.*)\]\((.*)\)$/.exec(link).slice(1) : [all, all])));
    at = found.index + all.length;
  }
  target.append(words.slice(at));
  return target;
}

function anchor(words, href) {
  const link = element("a", words);
  Object.assign(link, { href, target: "_blank", rel: "noopener noreferrer" });
  return link;
}

function element(name, words) {
  const made = document.createElement(name);
  if (words !== undefined) made.textContent = words;
  return made;
}

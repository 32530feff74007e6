// What a reader would stumble over in the page as it is laid out now: a list of complaints.
() => {
  const complaints = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) complaints.push(`the page is ${root.scrollWidth} wide, the window ${root.clientWidth}`);
  for (const element of document.querySelectorAll("body *:not(svg):not(svg *)")) {
    if (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline")
      complaints.push(`cut off or scrolled: ${element.tagName} ${element.textContent.trim().slice(0, 60)}`);
  }
  const shown = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest("title, desc")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width > 0 && box.height > 0) shown.push({ text: node.data.trim(), element, box });
  }
  for (const { text, element, box } of shown) {
    const frame = (element.closest("svg") || root).getBoundingClientRect();
    const right = element.closest("svg") ? frame.right : root.clientWidth;
    if (box.left < frame.left - 1 || box.right > right + 1) complaints.push(`beyond its frame: ${text.slice(0, 60)}`);
    const svg = element.closest("svg");
    if (svg && (box.top < frame.top - 1 || box.bottom > frame.bottom + 1)) complaints.push(`beyond its picture: ${text}`);
  }
  // Letters, not their line's leading, must not meet.
  const inner = ({ box }) => ({ l: box.left + 1, r: box.right - 1, t: box.top + box.height * 0.2, b: box.bottom - box.height * 0.2 });
  shown.sort((one, other) => one.box.top - other.box.top);
  for (let n = 0; n < shown.length; n++)
    for (let m = n + 1; m < shown.length && shown[m].box.top < shown[n].box.bottom; m++) {
      const a = inner(shown[n]), b = inner(shown[m]);
      if (a.l < b.r && b.l < a.r && a.t < b.b && b.t < a.b)
        complaints.push(`overlapping: ${shown[n].text.slice(0, 40)} / ${shown[m].text.slice(0, 40)}`);
    }
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  for (const { text, element } of shown) {
    const style = getComputedStyle(element);
    const [light, dark] = [luminance(channels(element.closest("svg") ? style.fill : style.color)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) complaints.push(`contrast ${ratio.toFixed(1)}: ${text.slice(0, 60)}`);
  }
  for (const svg of document.querySelectorAll("svg")) {
    if (svg.getAttribute("role") !== "img" || !svg.querySelector("title") || !svg.querySelector("desc"))
      complaints.push("a picture without words");
    if (!svg.closest(".pictures").querySelector("table tbody tr")) complaints.push(`no figures beside: ${svg.querySelector("title").textContent}`);
  }
  return [...new Set(complaints)];
}

// In a frame of another page, at an address with "?embedded": drawing and buttons alone, in the theme of that page.

// Reports the height of the page to the page around it, which can then make the frame so high that nothing scrolls inside.
export function connectEmbedding(onTheme) {
  if (!new URLSearchParams(location.search).has("embedded")) return;
  const root = document.documentElement;
  root.dataset.form = "embedded";
  if (window.parent === window) return;
  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || !["light", "dark", "auto"].includes(data?.theme)) return;
    root.dataset.theme = data.theme; // "auto" is what the system prefers
    onTheme();
  });
  const report = () => window.parent.postMessage({ height_px: Math.ceil(root.getBoundingClientRect().height) }, "*");
  new ResizeObserver(report).observe(root);
}

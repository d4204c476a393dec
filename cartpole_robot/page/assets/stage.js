// The card with the drawing stays at the top of a narrow screen; what gets the focus below it is scrolled clear of it.

export function keepFocusClear(stage) {
  const { style } = document.documentElement;
  new ResizeObserver(() => style.setProperty("--stage-height", `${stage.offsetHeight}px`)).observe(stage);
}

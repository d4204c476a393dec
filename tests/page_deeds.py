"""What a visitor of a page does by its buttons, as the script that Chromium runs."""

from __future__ import annotations

from collections.abc import Mapping

_RUN = """([deed, most]) => {
  const press = (name) => document.querySelector(`[data-break="${name}"]`).click();
  const push = (part) => document.querySelector(`[data-push="${part}"][data-direction="1"]`).click();
  const slide = (id, end) => {
    const slider = document.getElementById(id);
    slider.value = slider[end];
    slider.dispatchEvent(new Event("input"));
  };
  const { simulation } = cartPolePage;
  if (simulation.snapshot().state !== "ARMED") return ["was not armed", 0];
  const deeds = { DEEDS };
  deeds[deed]();
  for (let ms = 1; ms <= most; ms++) {
    simulation.advance(1);
    const { state, fault } = simulation.snapshot();
    if (state === "FAULT") return [fault, ms];
  }
  return [simulation.snapshot().state, most];
}"""


def deed_script(deeds: Mapping[str, str]) -> str:
    """A function of the page: does the deed of that name and waits for a fault, at most the given milliseconds.

    It returns the fault and after how many ms it came, or the state.
    """
    return _RUN.replace("DEEDS", ", ".join(f'"{name}": () => {{ {deed} }}' for name, deed in deeds.items()))

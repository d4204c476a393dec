// Dark or light: what the system prefers, until the visitor chooses.

export function connectTheme(button, onChange) {
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (["light", "dark"].includes(root.dataset.theme) ? root.dataset.theme === "dark" : prefersDark.matches);
  const show = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    onChange();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  prefersDark.addEventListener("change", show);
  show();
}

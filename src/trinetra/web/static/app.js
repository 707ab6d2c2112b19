// @ts-check
// What every page runs: the menu closes on Escape.
document.addEventListener("keydown", (event) => {
  const menu = document.getElementById("menu");
  if (event.key === "Escape" && menu instanceof HTMLDetailsElement) menu.open = false;
});

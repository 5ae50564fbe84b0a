"use strict";
// Swagger UI is dark with a class on the page's root. This sets it when the system asks for dark pages.

const dark = window.matchMedia("(prefers-color-scheme: dark)");

function followSystem() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

dark.addEventListener("change", followSystem);
followSystem();

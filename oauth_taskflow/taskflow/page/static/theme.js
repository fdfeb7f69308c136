// Follows the choice that Airflow's UI keeps: "light", "dark" or nothing, which follows the system.
const choice = localStorage.getItem("theme");
const dark = choice === "dark" || (choice !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.dataset.theme = dark ? "dark" : "light";

// Sends the chosen file as the body and the options as the query, and shows the answer below the form.

const form = document.querySelector(".import-form");
const answer = document.getElementById("answer");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = form.elements.file.files[0];
  const query = new URLSearchParams({ name: file.name, action: event.submitter.value });
  for (const [name, value] of new FormData(form)) {
    if (value && typeof value === "string" && name !== "csrfmiddlewaretoken") query.set(name, value);
  }
  answer.textContent = `Reading ${file.name} …`;
  const buttons = form.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    const headers = {
      Accept: "text/html",
      "Content-Type": "application/octet-stream",
      "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
    };
    const response = await fetch(`${form.getAttribute("action")}?${query}`, { method: "POST", headers, body: file });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const shown = page.getElementById("answer")?.childNodes ?? [problemOf(page)];
    answer.replaceChildren(...shown);
  } catch (error) {
    answer.textContent = `The file could not be sent: ${error.message}`;
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
});

// Return the box of an error that has a page of its own.
function problemOf(page) {
  const box = document.createElement("p");
  box.className = "problem";
  box.textContent = page.querySelector("main p")?.textContent ?? page.body.textContent;
  return box;
}

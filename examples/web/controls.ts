import { byId, element } from "./dom.js";

/** A button that can do nothing keeps the focus, so it is not `disabled`. */
export function enable(id: string, enabled: boolean): void {
  byId(id).setAttribute("aria-disabled", String(!enabled));
}

export function onClick(id: string, act: () => void): void {
  byId(id).addEventListener("click", () => {
    if (byId(id).getAttribute("aria-disabled") !== "true") act();
  });
}

/** To screen readers. */
export function say(text: string): void {
  byId("status").textContent = text;
}

/** An error stays on the page until it is dismissed, or an action of the same kind succeeds. */
export function showError(kind: string, text: string, action: { label: string; run: () => void }): void {
  clearError(kind);
  const button = element("button", { type: "button" }, action.label);
  const notice = element("div", { className: "notice error" }, element("p", {}, text), button);
  notice.dataset.kind = kind;
  button.addEventListener("click", () => {
    notice.remove();
    action.run();
  });
  byId("errors").append(notice);
}

export function clearError(kind: string): void {
  for (const notice of document.querySelectorAll<HTMLElement>("#errors > div")) {
    if (notice.dataset.kind === kind) notice.remove();
  }
}

/** Saves a table where downloads go. */
export function downloadCsv(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  element("a", { href: url, download: name }).click();
  // Later, because the download starts after this task.
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** A built project's page in Chromium, cross-origin isolated. */
import type { Browser } from "playwright-core";
import { noChromium } from "../../support/chromium.js";

/** What the page's `results` come to. @throws if it logs a warning or an error, throws, or is not isolated */
export async function resultsOf(browser: Browser | undefined, url: string): Promise<Record<string, unknown>> {
  if (browser === undefined) throw new Error(`${noChromium}; or name the consumers to run`);
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["warning", "error"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  try {
    await page.goto(url);
    await page.waitForFunction("globalThis.results !== undefined");
    const results = await page.evaluate<Record<string, unknown>>("globalThis.results");
    if (!(await page.evaluate("crossOriginIsolated"))) complaints.push("the page is not cross-origin isolated");
    if (complaints.length === 0) return results;
  } catch (error) {
    complaints.push(String(error));
  } finally {
    await page.close();
  }
  throw new Error(complaints.join("\n"));
}

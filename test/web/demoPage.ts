import { readFile } from "node:fs/promises";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";

/** The page in a tab, as somebody uses it who reads and clicks. */
export class DemoPage {
  /** What the console called an error, and what nobody caught. */
  readonly errors: string[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
  ) {
    context.setDefaultTimeout(240_000);
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  static async create(browser: Browser, options: BrowserContextOptions = {}): Promise<DemoPage> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    return new DemoPage(context, await context.newPage());
  }

  close(): Promise<void> {
    return this.context.close();
  }

  async click(name: string): Promise<void> {
    await this.page
      .getByRole("button", { name, exact: true })
      .and(this.page.locator(":not([aria-disabled=true])"))
      .click();
  }

  async text(id: string): Promise<string> {
    return (await this.page.locator(`#${id}`).textContent()) ?? "";
  }

  async step(): Promise<number> {
    return Number(await this.page.locator("#progress").evaluate((bar: HTMLProgressElement) => bar.value));
  }

  async trainTo(step: number): Promise<void> {
    await this.page.waitForFunction(
      (least) => document.querySelector<HTMLProgressElement>("#progress")!.value >= least,
      step,
      { polling: 50 },
    );
  }

  async pause(): Promise<number> {
    await this.click("Pause");
    await this.page.getByRole("button", { name: "Continue" }).waitFor();
    return this.step();
  }

  /** Rows of a table, cell by cell; opens what hides it. */
  async table(id: string): Promise<string[][]> {
    return this.page
      .locator(`#${id} tbody tr`)
      .evaluateAll((rows) =>
        rows.map((row) => [...(row as HTMLTableRowElement).cells].map((cell) => cell.textContent ?? "")),
      );
  }

  /** The curves as they are downloaded: a line per step. */
  async csv(): Promise<string[]> {
    const [download] = await Promise.all([this.page.waitForEvent("download"), this.click("Download the curves (CSV)")]);
    return (await readFile(await download.path(), "utf8")).trim().split("\n");
  }
}

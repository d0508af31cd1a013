import type { Width } from "../shared/width.js";
import { element } from "./dom.js";
import { CHOICES, type NumberKey, type Settings } from "./settings.js";

interface Field {
  readonly label: string;
  /** The slider's stops. The number field beside it takes any value that the package accepts. */
  readonly stops: readonly number[];
}

const FIELDS: Readonly<Record<NumberKey, Field>> = {
  lr: { label: "Learning rate α", stops: [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 0.02, 0.05] },
  weightDecay: { label: "Weight decay λ", stops: [0, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1] },
  beta1: { label: "Mean β₁", stops: [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99] },
  beta2: { label: "Square β₂", stops: [0.5, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999] },
  threads: { label: "Threads", stops: Array.from({ length: navigator.hardwareConcurrency }, (_, i) => i + 1) },
};

interface Control {
  readonly number: HTMLInputElement;
  readonly slider: HTMLInputElement;
  readonly message: HTMLElement;
}

/** A number field and a slider for each number, a list for the width. Nothing is checked here: the worker refuses illegal values, with a reason. */
export class SettingsForm {
  readonly #controls = new Map<NumberKey, Control>();
  readonly #width = element(
    "select",
    { id: "width", "aria-describedby": "width-hint" },
    ...CHOICES.map((width) => element("option", {}, width)),
  );

  constructor(
    readonly onChange: (key: NumberKey, value: number) => void,
    readonly onWidth: (width: Width) => void,
  ) {
    this.#width.addEventListener("change", () => onWidth(this.#width.value as Width));
  }

  fill(form: HTMLFormElement, settings: Settings): void {
    const { onChange } = this;
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const [key, field] of Object.entries(FIELDS) as [NumberKey, Field][]) {
      const control = createControl(key, field);
      const { number, slider, message } = control;
      this.#controls.set(key, control);
      number.addEventListener("change", () =>
        onChange(key, number.value.trim() === "" ? Number.NaN : Number(number.value)),
      );
      slider.addEventListener("input", () => {
        number.value = String(field.stops[slider.valueAsNumber]);
        describeSlider(control, field);
      });
      slider.addEventListener("change", () => onChange(key, field.stops[slider.valueAsNumber]!));
      const label = element("label", { htmlFor: number.id }, field.label);
      form.append(element("div", { className: "field" }, label, number, slider, message));
    }
    form.append(
      element(
        "div",
        { className: "choice" },
        element("label", { htmlFor: "width" }, "Width"),
        this.#width,
        element(
          "p",
          { id: "width-hint", className: "hint" },
          "With 16 bits AdamW trains once more, and is drawn over its float32 curve.",
        ),
      ),
    );
    this.show(settings);
  }

  /** Shows the present values: of all settings, or of one; then what is being typed into the others stays. */
  show(settings: Settings, only?: keyof Settings): void {
    for (const [key, control] of this.#controls) {
      if (only !== undefined && key !== only) continue;
      const { stops } = FIELDS[key];
      control.number.value = String(settings[key]);
      control.slider.value = String(nearest(stops, settings[key]));
      describeSlider(control, FIELDS[key]);
      control.number.removeAttribute("aria-invalid");
      control.message.textContent = "";
    }
    if (only === undefined || only === "width") this.#width.value = settings.width;
  }

  refuse(key: NumberKey, message: string): void {
    const control = this.#controls.get(key)!;
    control.number.setAttribute("aria-invalid", "true");
    control.message.textContent = message;
  }
}

function createControl(key: string, { label, stops }: Field): Control {
  return {
    number: element("input", {
      id: key,
      type: "text",
      inputMode: "decimal",
      autocomplete: "off",
      "aria-describedby": `${key}-message`,
    }),
    slider: element("input", {
      id: `${key}-slider`,
      type: "range",
      min: "0",
      max: String(stops.length - 1),
      step: "1",
      "aria-label": `${label}, slider`,
    }),
    message: element("p", { id: `${key}-message`, className: "refusal", role: "alert" }),
  };
}

/** The slider's value is the number of a stop, which would mean nothing in a screen reader. */
function describeSlider({ number, slider }: Control, { stops }: Field): void {
  slider.setAttribute("aria-valuetext", number.value);
  slider.disabled = stops.length < 2;
}

function nearest(stops: readonly number[], value: number): number {
  const distance = (stop: number) => Math.abs(stop - value);
  return stops.reduce((best, stop, i) => (distance(stop) < distance(stops[best]!) ? i : best), 0);
}

import { binByGradient, type Spread, spread } from "../shared/gradientBins.js";
import type { Run } from "../shared/run.js";

/*
 * How much did decay change the weights of a run?
 *
 * A step moves a weight by its gradients and by decay. The first part is known: α·m̂/(√v̂ + ε), with the run's own v and with a
 * mean m of the gradients alone. The rest of the move, towards zero, is decay. It is divided by the decay that was asked for:
 *
 *     multiple = Σ sign(p) · (p − p′ − α·m̂/(√v̂ + ε)) / Σ α·λ·|p|        p before, p′ after the step
 *
 * 1 means: decayed as asked. This needs no knowledge of how a rule applies its decay.
 */

/** Every fifth weight of the first layer, to sort and store less. Each pixel has 64 weights, so some of each are taken. */
const STRIDE = 5;
const BINS = 8;
/** Dots drawn: few enough to draw often. */
const DOTS = 800;

/** Decay that the weights of a run received, as a multiple of the decay asked for. */
export interface DecayPicture {
  /** Smallest gradients first; the last bin are the weights whose gradient was always zero. */
  readonly bins: readonly (Spread & {
    /** Of the weight in its middle. */
    readonly middle: number;
    readonly largest: number;
    readonly weights: number;
  })[];
  /** Single weights, evenly drawn from those with a gradient, smallest first. */
  readonly dots: readonly { readonly rms: number; readonly multiple: number }[];
}

/** What the decay of the first runs did, after `since` steps and up to `step`. */
export interface DecayPictures {
  readonly since: number;
  readonly step: number;
  readonly runs: readonly DecayPicture[];
}

/** All but `gradientMean` are sums since the last reset. */
export interface MeterState {
  readonly gradientMean: Float64Array;
  readonly received: Float64Array;
  readonly asked: Float64Array;
  readonly squares: Float64Array;
}

export class DecayMeter {
  readonly #before: Float64Array;
  readonly #state: MeterState;

  /** @param start the weights of the first layer before the first step */
  constructor(
    readonly run: Run,
    readonly start: Float32Array,
    from?: MeterState,
  ) {
    const length = Math.ceil(start.length / STRIDE);
    const zeros = () => new Float64Array(length);
    this.#before = zeros();
    this.#state = { gradientMean: zeros(), received: zeros(), asked: zeros(), squares: zeros() };
    if (from !== undefined) for (const key of KEYS) this.#state[key].set(from[key]);
  }

  /** Takes the run's next step, and measures it. */
  step(): void {
    const { w1 } = this.run.model.params;
    const [weights] = this.run.model.optimizer.paramGroups;
    const { betas, eps } = weights!;
    const weightDecay = weights!.weightDecay as number;
    const before = this.#before;
    const { gradientMean, received, asked, squares } = this.#state;
    this.run.step(({ w1: gradient }) => {
      for (let i = 0, j = 0; i < before.length; i++, j += STRIDE) {
        const g = gradient[j]!;
        before[i] = w1[j]!;
        gradientMean[i] = betas[0] * gradientMean[i]! + (1 - betas[0]) * g;
        squares[i]! += g * g;
      }
    });

    const { step, exp_avg_sq: v } = this.run.model.optimizer.stateDict().state.w1!;
    const lr = this.run.lrAt(step);
    const stepSize = lr / (1 - betas[0] ** step);
    const rsqrt = 1 / Math.sqrt(1 - betas[1] ** step);
    for (let i = 0, j = 0; i < before.length; i++, j += STRIDE) {
      const p = before[i]!;
      const left = p - w1[j]! - (stepSize * gradientMean[i]!) / (Math.sqrt(v[j]!) * rsqrt + eps);
      received[i]! += p < 0 ? -left : left;
      asked[i]! += lr * weightDecay * Math.abs(p);
    }
  }

  /** Starts again: the sums of a picture belong to one set of hyper-parameters. */
  reset(): void {
    for (const key of ["received", "asked", "squares"] as const) this.#state[key].fill(0);
  }

  /** @param steps since the last reset */
  picture(steps: number): DecayPicture {
    const { received, asked, squares } = this.#state;
    const rms = squares.map((sum) => Math.sqrt(sum / steps));
    const multiples = received.map((sum, i) => sum / asked[i]!);
    const start = Float32Array.from(rms, (_, i) => this.start[i * STRIDE]!);
    const bins = binByGradient(start, rms, BINS).filter((bin) => bin.length > 0);
    const active = bins.filter((bin) => rms[bin[0]!]! > 0);
    const apart = Math.max(1, Math.floor(active.reduce((sum, bin) => sum + bin.length, 0) / DOTS));
    const drawn = active.flatMap((bin) => [...bin]).filter((_, i) => i % apart === 0);
    return {
      bins: bins.map((bin) => ({
        ...spread(bin, multiples),
        middle: rms[bin[bin.length >> 1]!]!,
        largest: rms[bin.at(-1)!]!,
        weights: bin.length,
      })),
      dots: drawn.map((i) => ({ rms: rms[i]!, multiple: multiples[i]! })),
    };
  }

  /** Copies. */
  state(): MeterState {
    const { gradientMean, received, asked, squares } = this.#state;
    return {
      gradientMean: gradientMean.slice(),
      received: received.slice(),
      asked: asked.slice(),
      squares: squares.slice(),
    };
  }
}

const KEYS = ["gradientMean", "received", "asked", "squares"] as const;

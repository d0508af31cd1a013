/** A federated client of DISCO's, whose training is mirrored. */
import disco, { type informant, type Task, type tf, type WeightsContainer } from "@epfml/discojs-node";
import type { FusedOptimizer } from "fused-adam/tfjs";
import { type Hyper, Mirror, read, type Values } from "./mirror.js";

/** What each client has sent, by round. */
export type Sent = Map<number, Values[]>;

export class MirroredClient extends disco.client.federated.Client {
  mirror: Mirror | undefined;

  constructor(
    url: URL,
    task: Task,
    readonly optimizer: FusedOptimizer,
    readonly hyper: Hyper,
    readonly sent: Sent,
  ) {
    super(url, task);
  }

  /** DISCO trains the model that comes from here. */
  override async getLatestModel(): Promise<tf.LayersModel> {
    const model = await super.getLatestModel();
    this.mirror = new Mirror(model, this.optimizer, this.hyper);
    return model;
  }

  override async onRoundEndCommunication(
    weights: WeightsContainer,
    previous: WeightsContainer,
    round: number,
    informant: informant.FederatedInformant,
  ): Promise<WeightsContainer> {
    const contributions = this.sent.get(round) ?? [];
    this.sent.set(round, contributions);
    contributions.push(weights.weights.map(read));
    const received = await super.onRoundEndCommunication(weights, previous, round, informant);
    this.mirror!.endRound(averageOf(contributions), received.weights);
    return received;
  }
}

/** The mean, each operation rounded to float32; of two, in whatever order. */
function averageOf(contributions: readonly Values[]): Values {
  const [first, ...rest] = contributions;
  return first!.map((values, i) => {
    const sum = values.slice();
    for (const other of rest) {
      other[i]!.forEach((value, j) => {
        sum[j]! += value;
      });
    }
    return sum.map((value) => value / contributions.length);
  });
}

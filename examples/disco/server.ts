/**
 * What DISCO's federated clients ask of a server, for one task, on loopback. DISCO's own server is not on npm; messages, encoding, the
 * buffer of a round and the average are those of its library.
 */
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import disco, { type client, type tf, type WeightsContainer } from "@epfml/discojs-node";
import msgpack from "msgpack-lite";
import { WebSocketServer } from "ws";

const { type: kind } = disco.client.messages;
const { isMessageFederated } = disco.client.federated.messages;
const encoding = disco.serialization.weights;

export interface Server {
  readonly url: URL;
  close(): void;
}

/** Serves the model, and averages whenever this many clients have sent their weights. */
export async function serve(taskID: string, model: tf.LayersModel, clients: number): Promise<Server> {
  const encodedModel = JSON.stringify(await disco.serialization.model.encode(model));
  const http = createServer((request, response) => {
    const known = request.url === `/tasks/${taskID}/model.json`;
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" }).end(known ? encodedModel : undefined);
  });

  let average: number[] = [];
  const buffer = new disco.AsyncBuffer<WeightsContainer>(taskID, clients, async (contributions) => {
    const all = [...contributions];
    const mean = disco.tf.tidy(() => disco.aggregation.avg(all).weights);
    average = await encoding.encode(new disco.WeightsContainer(mean));
    disco.tf.dispose([mean, ...all.map(({ weights }) => weights)]);
  });
  const rounds = new EventEmitter();

  const sockets = new WebSocketServer({ server: http });
  sockets.on("connection", (socket, { url }) => {
    const id = url!.split("/").at(-1)!;
    /** The round of the weights that this client sent last. */
    let sent = -1;

    async function receive(message: client.federated.messages.MessageFederated): Promise<object | undefined> {
      switch (message.type) {
        case kind.clientConnected:
          return {};
        case kind.postWeightsToServer: {
          const { weights, round } = message as client.federated.messages.postWeightsToServer;
          sent = round;
          await buffer.add(id, encoding.decode(weights), round);
          if (buffer.round > round) rounds.emit("average");
          return undefined;
        }
        case kind.pullServerStatistics:
          return { statistics: { round: buffer.round } };
        case kind.latestServerRound:
          // A client that is told of no newer round goes on with its own weights. So it is told when the others' are in, too.
          while (buffer.round <= sent) await once(rounds, "average");
          return { round: buffer.round, weights: average };
        default:
          throw new Error(`"message.type": expected what a federated task needs, got ${message.type}`);
      }
    }

    socket.on("message", async (data: Buffer) => {
      try {
        const message: unknown = msgpack.decode(data);
        if (!isMessageFederated(message)) throw new Error('"message": expected one of DISCO\'s, got another');
        const answer = await receive(message);
        if (answer !== undefined) socket.send(msgpack.encode({ type: message.type, ...answer }));
      } catch (error) {
        console.error(error);
        socket.close(1011);
      }
    });
  });

  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`),
    close() {
      sockets.close();
      http.close();
    },
  };
}

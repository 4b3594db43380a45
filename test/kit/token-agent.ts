// An ssh-agent for tests (draft-ietf-sshm-ssh-agent) that holds security tokens in software, so that the stock ssh and sshd sign with them.
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { equalBytes, Reader, Writer } from '../../src/protocol/wire/reader.ts';
import type { Scope } from './processes.ts';
import type { Said, Token } from './token.ts';

const FAILURE = 5;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;

/** The path of its socket. It offers the tokens' keys, or `certificate` for the only one, and signs all that it is asked to. */
export async function tokenAgent(
  scope: Scope,
  tokens: Token | readonly Token[],
  options: { said?: Said; certificate?: Uint8Array } = {},
): Promise<string> {
  const path = join(scope.directory(), 'agent');
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {});
    let waiting = Buffer.alloc(0);
    socket.on('data', chunk => {
      waiting = Buffer.concat([waiting, chunk]);
      while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUInt32BE()) {
        const end = 4 + waiting.readUInt32BE();
        const message = new Reader(new Uint8Array(waiting.subarray(4, end)));
        waiting = waiting.subarray(end);
        socket.write(new Writer().string(answer(message)).finish());
      }
    });
  });
  const held = [tokens].flat().map(token => ({ token, blob: options.certificate ?? token.blob }));
  const answer = (message: Reader): Uint8Array => {
    switch (message.byte()) {
      case REQUEST_IDENTITIES: {
        const writer = new Writer().byte(IDENTITIES_ANSWER).uint32(held.length);
        for (const { blob } of held) writer.string(blob).string('token');
        return writer.finish();
      }
      case SIGN_REQUEST: {
        const wanted = message.string();
        const token = held.find(({ blob }) => equalBytes(blob, wanted))?.token;
        if (token === undefined) break;
        return new Writer().byte(SIGN_RESPONSE).string(token.sign(message.string(), options.said)).finish();
      }
    }
    return Uint8Array.of(FAILURE);
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  scope.defer(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>(resolve => server.close(() => resolve()));
  });
  return path;
}

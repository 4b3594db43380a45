// Keys in an agent (ssh-agent(1), `SSH_AUTH_SOCK`): listed, signed with, added and removed, over a Unix socket.
import { certificateName, certificateTypeNames, fingerprint, keyTypeNames } from '../crypto/keys/index.ts';
import { canonicalRsa } from '../crypto/keys/rsa-numbers.ts';
import type { PrivateKey } from '../crypto/provider.ts';
import { ProtocolError, printable, UsageError } from '../protocol/errors.ts';
import type { RemoteKey } from '../protocol/userauth/client.ts';
import { Reader } from '../protocol/wire/reader.ts';
import { connectPath } from '../server/runtime/net.ts';
import {
  AgentFrame,
  type AgentKey,
  agentRequests,
  frame,
  type KeyConstraints,
  readAgentSignature,
  readDone,
  readKeys,
} from './agent-messages.ts';

/** Where the agent is, and how long it is waited for. */
export interface AgentOptions {
  /** Path of the agent's socket; by default what SSH_AUTH_SOCK says. */
  readonly path?: string;
  /** Seconds that the agent gets for an answer. People are asked for confirmation or a touch meanwhile: 120 if not given. */
  readonly timeout?: number;
  /** Why a key of `credentials` did not sign; the next one is tried then. */
  problem?(message: string): void;
}

/**
 * A running agent. Each request has a connection of its own, so nothing stays open and nothing needs closing. All
 * methods throw the system's error if the agent cannot be reached, and ProtocolError if it refuses, gives no answer in
 * time, or one that makes no sense.
 */
export class Agent {
  readonly #path: string;
  readonly #timeout: number;
  readonly #problem: ((message: string) => void) | undefined;

  /** @throws UsageError if there is no path */
  constructor(options: AgentOptions = {}) {
    const path = options.path ?? process.env.SSH_AUTH_SOCK;
    if (!path) throw new UsageError('there is no agent: SSH_AUTH_SOCK is not set');
    this.#path = path;
    this.#timeout = options.timeout ?? 120;
    this.#problem = options.problem?.bind(options);
  }

  /** Its keys, those of types that are not known here too. */
  async keys(): Promise<AgentKey[]> {
    return readKeys(await this.#ask(agentRequests.list()));
  }

  /**
   * The signature blob (RFC 4253 §6.6) of the key with that blob over `data`, under `algorithm`: for RSA keys "rsa-sha2-512"
   * or "rsa-sha2-256", otherwise the key's type.
   */
  async sign(key: Uint8Array, data: Uint8Array, algorithm: string): Promise<Uint8Array> {
    const signature = readAgentSignature(await this.#ask(agentRequests.sign(key, data, algorithm)));
    // Authentication: old agents know no flags and sign with SHA-1.
    const name = new Reader(signature).name();
    if (name !== algorithm && certificateName(name) !== algorithm)
      throw new ProtocolError(`the agent signs with ${printable(name, 80)}, and ${algorithm} was asked for`);
    return signature;
  }

  /** Its keys as credentials for `dial`, in its order. */
  async credentials(): Promise<RemoteKey[]> {
    const known = new Set([...keyTypeNames, ...certificateTypeNames]);
    return (await this.keys())
      .filter(({ type }) => known.has(type))
      .map(({ type, blob, comment }) => ({
        method: 'publickey',
        // The server gets it in the one form that it has, the agent in its own.
        key: { type, blob: canonicalRsa(blob) },
        sign: (data, algorithm, respond) => {
          this.sign(blob, data, algorithm).then(respond, (error: Error) => {
            this.#problem?.(`${fingerprint(blob)} (${comment}) does not sign: ${error.message}`);
            respond(undefined);
          });
        },
      }));
  }

  /** Gives it a key. */
  async add(key: PrivateKey, constraints?: KeyConstraints): Promise<void> {
    readDone(await this.#ask(agentRequests.add(key, constraints)), 'to take the key');
  }

  /** Takes the key with that blob away from it. */
  async remove(key: Uint8Array): Promise<void> {
    readDone(await this.#ask(agentRequests.remove(key)), 'to give up the key');
  }

  /** Takes all keys away from it. */
  async removeAll(): Promise<void> {
    readDone(await this.#ask(agentRequests.removeAll()), 'to give up its keys');
  }

  async #ask(request: Uint8Array): Promise<Uint8Array> {
    const bytes = frame(request);
    const socket = await connectPath(this.#path);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      return await new Promise<Uint8Array>((resolve, reject) => {
        const answer = new AgentFrame();
        const seconds = this.#timeout;
        // Neither is a message: whoever waits must not wait for ever.
        timer = setTimeout(() => reject(new ProtocolError(`the agent gave no answer in ${seconds} s`)), seconds * 1000);
        const gone = () => reject(new ProtocolError('the agent closed the connection without an answer'));
        socket.start({
          data: chunk => {
            try {
              const message = answer.push(chunk);
              if (message) resolve(message);
            } catch (error) {
              reject(error as Error);
            }
          },
          end: gone,
          drain: () => {},
          close: error => (error ? reject(error) : gone()),
        });
        socket.write([bytes]);
      });
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
  }
}

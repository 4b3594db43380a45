// zlib@openssh.com: compression that begins after sign-in (RFC 4253 §6.2, OpenSSH PROTOCOL §1.2), on pako's zlib streams.
import {
  Z_BUF_ERROR,
  Z_OK,
  Z_PARTIAL_FLUSH,
  ZStream,
  zlibDeflate,
  zlibDeflateInit,
  zlibInflate,
  zlibInflateInit,
} from 'pako';
import { Disconnect, ProtocolError } from '../protocol/errors.ts';
import { HEAD_ROOM, Packet, TAIL_ROOM } from '../protocol/wire/packet.ts';
import type { CompressionAlgorithm } from './provider.ts';

/** zlib's own default, and OpenSSH's. */
const LEVEL = 6;

/** Costs some 300 KiB of memory for each connection and direction, and more time than any network of today saves: for old, thin lines. */
export const zlib: CompressionAlgorithm = {
  name: 'zlib@openssh.com',
  compressor() {
    const stream = new ZStream();
    zlibDeflateInit(stream, LEVEL);
    // What does not compress grows by 5 bytes for each 16 KiB and the flush (zlib's deflateBound), so no limit is needed.
    return packet => run(stream, zlibDeflate, packet, packet.length + 64, Number.MAX_SAFE_INTEGER);
  },
  decompressor() {
    const stream = new ZStream();
    zlibInflateInit(stream);
    return (packet, limit) => run(stream, zlibInflate, packet, packet.length * 4 + 64, limit);
  },
};

/** Runs a whole packet through a stream into new memory, `guess` bytes at first. @throws ProtocolError if the stream is damaged, or gives nothing, or more than `limit` bytes */
function run(stream: ZStream, code: typeof zlibDeflate, packet: Packet, guess: number, limit: number): Packet {
  stream.input = packet.bytes;
  stream.next_in = packet.start;
  stream.avail_in = packet.length;
  // One byte more than allowed, to see whether there is more.
  let out = memory(Math.min(guess, limit + 1));
  for (let at = HEAD_ROOM; ; ) {
    stream.output = out;
    stream.next_out = at;
    stream.avail_out = out.length - TAIL_ROOM - at;
    const status = code(stream, Z_PARTIAL_FLUSH);
    at = stream.next_out;
    // Z_BUF_ERROR: there was nothing left to do. Anything else, the end of the stream included, is no compressed packet.
    if (status !== Z_OK && status !== Z_BUF_ERROR) break;
    // Memory.
    if (at - HEAD_ROOM > limit) throw damaged(`a packet inflates to more than ${limit} bytes`);
    if (stream.avail_out > 0) {
      if (stream.avail_in > 0 || at === HEAD_ROOM) break;
      return new Packet(out, HEAD_ROOM, at);
    }
    const larger = memory(Math.min((at - HEAD_ROOM) * 4, limit + 1));
    larger.set(out.subarray(0, at));
    out = larger;
  }
  // Order: the streams of both ends are no longer the same, and nothing that follows can be read.
  throw damaged('a compressed packet is damaged');
}

const memory = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(HEAD_ROOM + size + TAIL_ROOM);

const damaged = (message: string): ProtocolError => new ProtocolError(message, Disconnect.COMPRESSION_ERROR);
